"""AG-UI as pure functions and values: no I/O, no event loop."""
