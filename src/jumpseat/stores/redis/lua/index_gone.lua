-- Threads that were found gone at least a.age milliseconds ago. Needs: index.
return call('ZRANGEBYSCORE', IDLE, -(now - a.age), '(0', 'LIMIT', 0, a.limit)
