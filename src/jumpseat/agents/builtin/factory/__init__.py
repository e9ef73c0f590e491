"""Factory mode: the developer makes the call to the model, and its stream becomes AG-UI events."""

from jumpseat.agents.builtin.factory.context import FactoryContext, InterruptSignal
from jumpseat.agents.builtin.factory.convert import convert_stream
from jumpseat.agents.builtin.factory.run import FactoryRun
from jumpseat.agents.builtin.factory.types import Factory, checked_factory

__all__ = [
    "Factory",
    "FactoryContext",
    "FactoryRun",
    "InterruptSignal",
    "checked_factory",
    "convert_stream",
]
