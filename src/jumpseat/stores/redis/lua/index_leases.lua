-- Open runs whose lease may have run out. Needs: index.
return call('ZRANGEBYSCORE', LEASES, '-inf', now, 'LIMIT', a.offset, a.limit)
