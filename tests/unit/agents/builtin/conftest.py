"""The mock of the model providers, for every test of the built-in agent."""

from mock_provider import mock_server, provider

__all__ = ["mock_server", "provider"]
