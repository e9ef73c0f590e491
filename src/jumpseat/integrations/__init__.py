"""Mounting a runtime in web frameworks, one module per framework."""
