-- Threads that may have been idle for longer than a.age milliseconds. Needs: index.
return call('ZRANGEBYSCORE', IDLE, '-inf', '(' .. string.format('%.0f', now - a.age), 'LIMIT', a.offset, a.limit)
