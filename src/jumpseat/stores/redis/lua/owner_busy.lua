-- The open runs of an owner, with the time of their claim. Needs: owner.
return call('ZRANGE', BUSY, 0, -1)
