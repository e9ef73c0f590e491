-- Forget what was kept under a temporary name. Needs: thread.
even_when_full()
remove_thread()
return 1
