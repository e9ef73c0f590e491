-- Changes whose end nobody has seen for a.age milliseconds. Needs: owner.
return call('ZRANGEBYSCORE', MARKS, '-inf', now - a.age, 'LIMIT', 0, a.limit)
