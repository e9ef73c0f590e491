"""The scenes of the demo agent, by name: each turns one turn into events, and waits for nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final, TypeAlias

from jumpseat.cli.demo.scenes import booking, page_tools, shopping, small_talk, stories, thinking
from jumpseat.cli.demo.turn import Turn
from jumpseat.protocol.events import Event

__all__ = ["SCENES", "Scene"]

Scene: TypeAlias = Callable[[Turn], Iterator[Event]]

SCENES: Final[Mapping[str, Scene]] = {
    "accent": page_tools.change_accent,
    "booking": booking.ask,
    "confirmation": page_tools.ask_for_confirmation,
    "failure": small_talk.fail,
    "greeting": small_talk.greet,
    "help": small_talk.explain,
    "list_add": shopping.add,
    "list_clear": shopping.clear,
    "list_remove": shopping.remove,
    "list_show": shopping.show,
    "long_story": stories.tell_long,
    "reasoning": thinking.think,
    "story": stories.tell,
    "thanks": small_talk.welcome,
    "unknown": small_talk.admit,
}
