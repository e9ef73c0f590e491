"""Where runs and threads are kept: one contract, one module per back end."""
