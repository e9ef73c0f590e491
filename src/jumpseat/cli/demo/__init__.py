"""The demo agent of `jumpseat dev`: a script, not a model, that shows what the runtime can do."""

from __future__ import annotations

from jumpseat.cli.demo.agent import DemoAgent

__all__ = ["DemoAgent"]
