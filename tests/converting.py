"""Converters without a run: chunks in, parts out."""

import asyncio
from collections.abc import Iterable
from contextlib import aclosing
from typing import Any

from builtin_agents import given
from jumpseat.agents.builtin.converters.base import Item, OpenConverter
from jumpseat.agents.builtin.converters.fields import camel_case
from jumpseat.protocol.inputs import RunAgentInput

SECONDS = 30.0


async def streamed(chunks: Iterable[Any]):
    """The chunks as a stream."""
    for chunk in chunks:
        yield chunk


async def parts_of(
    opened: OpenConverter, returned: Any, run_input: RunAgentInput | None = None
) -> list[Item]:
    """All that a converter says about what a factory returned."""
    converter = opened(returned, run_input or given())
    parts: list[Item] = []
    async with asyncio.timeout(SECONDS), aclosing(converter.stream) as chunks:  # type: ignore[type-var]
        async for chunk in chunks:
            parts.extend(converter.feed(chunk))
    return [*parts, *converter.end()]


async def said(
    opened: OpenConverter, chunks: Iterable[Any], run_input: RunAgentInput | None = None
) -> list[Item]:
    """All that a converter says about these chunks."""
    return await parts_of(opened, streamed(chunks), run_input)


def kinds(parts: Iterable[Any]) -> list[str]:
    return [type(part).__name__ for part in parts]


def only(kind: type[Any], parts: Iterable[Any]) -> list[Any]:
    """The parts of one kind."""
    return [part for part in parts if type(part) is kind]


def in_camel_case(value: Any) -> Any:
    """The same dicts with the keys that a JavaScript program would give them."""
    if isinstance(value, dict):
        return {camel_case(key): in_camel_case(member) for key, member in value.items()}
    return [in_camel_case(item) for item in value] if isinstance(value, list) else value
