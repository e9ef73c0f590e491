"""What people who write stores, runners and agents test them with."""

from __future__ import annotations

from jumpseat.testing.scripted import ScriptedAgent
from jumpseat.testing.scripted_model import ScriptedModel

__all__ = ["ScriptedAgent", "ScriptedModel"]
