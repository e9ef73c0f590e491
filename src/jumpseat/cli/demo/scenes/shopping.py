"""Keeps a shopping list in the state that agent and page share: a snapshot to begin with, then patches."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, cast

from jumpseat.cli.demo.turn import Turn
from jumpseat.protocol.events import Event, StateDelta, StateSnapshot

__all__ = ["add", "clear", "remove", "show"]


def add(turn: Turn) -> Iterator[Event]:
    """Put what the message names on the list."""
    wanted = _named(turn.subject)
    items = _items(turn)
    if items is None:
        yield StateSnapshot(snapshot={**turn.state(), "items": wanted})
        items = list(wanted)
    else:
        for item in wanted:
            yield StateDelta(delta=[{"op": "add", "path": "/items/-", "value": item}])
            items.append(item)
    yield from turn.say(f"Added {_spoken(wanted)}. {_summary(items)}")


def remove(turn: Turn) -> Iterator[Event]:
    """Take what the message names off the list."""
    items = _items(turn) or []
    removed: list[str] = []
    for name in _named(turn.subject):
        position = next((i for i, item in enumerate(items) if str(item).lower() == name.lower()), None)
        if position is not None:
            yield StateDelta(delta=[{"op": "remove", "path": f"/items/{position}"}])
            removed.append(str(items.pop(position)))
    done = f"Removed {_spoken(removed)}." if removed else f"There is no {turn.subject} on your list."
    yield from turn.say(f"{done} {_summary(items)}")


def clear(turn: Turn) -> Iterator[Event]:
    """Empty the list."""
    yield StateSnapshot(snapshot={**turn.state(), "items": []})
    yield from turn.say(_summary([]))


def show(turn: Turn) -> Iterator[Event]:
    """Say what is on the list."""
    yield from turn.say(_summary(_items(turn) or []))


def _items(turn: Turn) -> list[Any] | None:
    items = turn.state().get("items")
    return list(cast("list[Any]", items)) if isinstance(items, list) else None


def _named(subject: str) -> list[str]:
    parts = re.split(r"\s*(?:,\s*and\b|,|&|\band\b)\s*", subject)
    return [
        name
        for part in parts
        if (name := re.sub(r"^(?:some|a|an|the)\s+", "", part.strip(), flags=re.IGNORECASE))
    ]


def _spoken(names: list[str]) -> str:
    bold = [f"**{name}**" for name in names]
    return bold[0] if len(bold) == 1 else f"{', '.join(bold[:-1])} and {bold[-1]}" if bold else "nothing"


def _summary(items: list[Any]) -> str:
    if not items:
        return "Your list is empty now. Say **add milk to my list** to begin one."
    listed = "\n".join(f"- {item}" for item in items)
    return f"Your list is part of the state that this agent and the page share:\n\n{listed}"
