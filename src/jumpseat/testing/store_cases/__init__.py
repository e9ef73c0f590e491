"""What every store must do, one module per subject; ``store_contract`` puts them together."""
