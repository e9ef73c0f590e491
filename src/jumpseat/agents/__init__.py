"""Agents: what turns one input into one stream of AG-UI events."""
