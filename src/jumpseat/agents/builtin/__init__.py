"""BuiltInAgent: the agent that ships with Jumpseat, and what its parts are made of."""
