"""Models: from a string or an object to something that answers, and the default adapter to the providers."""
