"""The HTTP surface: an ASGI application over a runtime."""
