-- Threads with more than a.keep runs. Needs: index.
return call('ZREVRANGEBYSCORE', LONG, '+inf', '(' .. string.format('%.0f', a.keep), 'LIMIT', a.offset, a.limit)
