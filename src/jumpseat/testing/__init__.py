"""What people who write stores, runners and agents test them with."""

from __future__ import annotations

from jumpseat.testing.scripted import ScriptedAgent

__all__ = ["ScriptedAgent"]
