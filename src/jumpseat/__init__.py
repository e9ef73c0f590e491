"""Jumpseat: the Python runtime for AI copilots."""
