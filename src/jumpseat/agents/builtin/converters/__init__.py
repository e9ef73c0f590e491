"""From the stream of another library to stream parts: one module for each type of factory."""
