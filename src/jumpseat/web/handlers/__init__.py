"""What each route does, one module per subject; every handler takes a ``Call``."""
