-- Sealed runs whose log is as old as a.age milliseconds. Needs: index.
return call('ZRANGEBYSCORE', LOGS, '-inf', now - a.age, 'LIMIT', 0, a.limit)
