"""Uses tools of the page: one that runs at once, and one that waits for a person to approve."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, cast

from jumpseat.cli.demo.answers import is_approval
from jumpseat.cli.demo.turn import Turn
from jumpseat.protocol.codec import content_text
from jumpseat.protocol.events import Event
from jumpseat.protocol.inputs import FunctionCall, ToolMessage

__all__ = ["ask_for_confirmation", "change_accent", "continue_after"]

_ACCENT: Final = "change_accent_color"
_CONFIRM: Final = "confirm_action"


def change_accent(turn: Turn) -> Iterator[Event]:
    """Ask the page to change its accent colour."""
    colour = _colour(turn.subject) or "teal"
    if not turn.offers(_ACCENT):
        yield from _not_offered(turn, _ACCENT)
        return
    yield from turn.call(_ACCENT, {"color": colour}, f"I am asking the page for a {colour} accent.")


def ask_for_confirmation(turn: Turn) -> Iterator[Event]:
    """Ask for approval of what the message demands."""
    if not turn.offers(_CONFIRM):
        yield from _not_offered(turn, _CONFIRM)
        return
    action = _from_the_agents_side(turn.subject)
    yield from turn.call(
        _CONFIRM, {"action": action}, "That cannot be undone, so I need your approval first."
    )


def continue_after(turn: Turn, call: FunctionCall, result: ToolMessage) -> Iterator[Event]:
    """Answer the result that the page sent for one of our calls."""
    reply = _REPLIES.get(call.name)
    if result.error:
        yield from turn.say(f"The page could not run `{call.name}`: {result.error}")
    elif reply is None:
        yield from turn.say(f"Thank you, I have the result of `{call.name}`.")
    else:
        yield from turn.say(reply(_object(call.arguments), content_text(result.content)))


def _accent_changed(arguments: Mapping[str, Any], result: str) -> str:
    outcome = _object(result)
    if outcome.get("changed") is False:
        return f"The page did not take it: {outcome.get('reason', 'it does not say why')}."
    return (
        f"Done: the accent is **{arguments.get('color', 'changed')}** now. The tool ran in your page, and "
        "its result came back to me in a run of its own."
    )


def _confirmed(arguments: Mapping[str, Any], result: str) -> str:
    action = arguments.get("action", "do that")
    if is_approval(result):
        return f"You approved it: **{action}**. Since I am only a demo, nothing was touched."
    return f"You did not approve, so I will not **{action}**."


_REPLIES: Final[Mapping[str, Callable[[Mapping[str, Any], str], str]]] = {
    _ACCENT: _accent_changed,
    _CONFIRM: _confirmed,
}


def _not_offered(turn: Turn, tool: str) -> Iterator[Event]:
    yield from turn.say(
        f"For this I need the tool `{tool}`, and this page does not offer it. The page of `jumpseat dev` "
        "does; in your own page, register a frontend tool of that name."
    )


def _object(text: str) -> Mapping[str, Any]:
    try:
        value = json.loads(text)
    except ValueError:
        return {}
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _colour(subject: str) -> str:
    words = re.sub(r"^(?:an?|the)\s+|\s+(?:please|now)$", "", subject.strip(), flags=re.IGNORECASE)
    return re.sub(r"\s+", "", words).lower()


def _from_the_agents_side(demand: str) -> str:
    return re.sub(r"\bmy\b", "your", demand.strip(), flags=re.IGNORECASE).lower()
