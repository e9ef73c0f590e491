"""What a model's answer consists of while it streams: one struct for each kind of part."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeAlias, cast

import msgspec

__all__ = [
    "Abort",
    "ApprovalRequest",
    "Finish",
    "ModelError",
    "ReasoningDelta",
    "ReasoningEnd",
    "ReasoningStart",
    "StepBreak",
    "StreamPart",
    "TextDelta",
    "TextEnd",
    "TextStart",
    "ToolCall",
    "ToolFailure",
    "ToolInputDelta",
    "ToolInputEnd",
    "ToolInputStart",
    "ToolOutputDenied",
    "ToolResult",
    "Usage",
    "UsageReport",
    "as_part",
]


class Part(msgspec.Struct, tag_field="type", kw_only=True, rename="camel"):
    """Base of all parts; as a dict a part is tagged by ``type``, its keys in either spelling."""


class TextStart(Part, tag="text-start"):
    """Begins a block of text; ``id`` is the provider's name for it, when it has one."""

    id: str | None = None


class TextDelta(Part, tag="text-delta"):
    """Appends to the open block of text, or begins one."""

    delta: str
    id: str | None = None


class TextEnd(Part, tag="text-end"):
    """Ends the open block of text."""

    id: str | None = None


class ReasoningStart(Part, tag="reasoning-start"):
    """Begins a block of visible reasoning."""

    id: str | None = None


class ReasoningDelta(Part, tag="reasoning-delta"):
    """Appends to the open reasoning, or begins a block."""

    delta: str
    id: str | None = None


class ReasoningEnd(Part, tag="reasoning-end"):
    """Ends the open reasoning.

    ``signature`` is what the provider wants back with it in a later run. Without open reasoning (it was
    hidden, or empty) the signature belongs to the next call. ``id`` and ``details`` are kept beside it.
    """

    id: str | None = None
    signature: str | None = None
    provider: str | None = None
    details: dict[str, Any] | None = None


class ToolInputStart(Part, tag="tool-input-start"):
    """Begins a call; its arguments follow as JSON text."""

    id: str
    name: str


class ToolInputDelta(Part, tag="tool-input-delta"):
    """Appends to the arguments of a call."""

    id: str
    delta: str


class ToolInputEnd(Part, tag="tool-input-end"):
    """Says that the arguments of a call are complete."""

    id: str


class ToolCall(Part, tag="tool-call"):
    """A complete call. ``input`` is JSON text or a JSON value; it counts when no delta came before.

    ``provider_executed``: the provider runs the tool itself and reports its result as a part.
    ``signature``: what the provider wants back with this call in a later run.
    """

    id: str
    name: str
    input: Any = None
    provider_executed: bool = False
    signature: str | None = None
    provider: str | None = None


class ToolResult(Part, tag="tool-result"):
    """What a tool that the provider or the developer's code ran has returned.

    ``output`` counts, else ``result``. A string leaves as it is when ``verbatim`` is set, else as JSON.
    ``preliminary``: more is to come; shown as progress.
    """

    id: str
    name: str | None = None
    output: Any = msgspec.UNSET
    result: Any = None
    preliminary: bool = False
    verbatim: bool = False

    @property
    def value(self) -> Any:
        """The value that was returned."""
        return self.result if self.output is msgspec.UNSET else self.output


class ToolFailure(Part, tag="tool-error"):
    """A tool that the provider or the developer's code ran has failed."""

    id: str
    error: Any = None


class ToolOutputDenied(Part, tag="tool-output-denied"):
    """A call was refused by a person."""

    id: str


class ApprovalRequest(Part, tag="approval-request"):
    """Something outside has to be decided before the run can go on: ends the run with an interrupt."""

    id: str
    reason: str = "tool_approval"
    tool_call_id: str | None = None
    message: str | None = None
    response_schema: dict[str, Any] | None = None
    metadata: dict[str, Any] | None = None


class StepBreak(Part, tag="step-break"):
    """What follows belongs to another generation: everything open is closed, message ids start afresh."""


class Usage(msgspec.Struct, kw_only=True, rename="camel"):
    """Tokens of one generation as the provider counts them; what it does not say is ``None``.

    Values are passed on unchecked: what is no whole number from 0 to 2**53 - 1 is left out later.
    """

    input_tokens: Any = None
    output_tokens: Any = None
    total_tokens: Any = None
    reasoning_tokens: Any = None
    cached_input_tokens: Any = None
    cache_write_input_tokens: Any = None
    provider: str | None = None
    model: str | None = None


class UsageReport(Part, tag="usage"):
    """Tokens used, outside of a finish."""

    usage: Usage


class Finish(Part, tag="finish"):
    """The generation is complete.

    ``reason``: ``stop``, ``length``, ``tool_call``, ``content_filter``, ``error`` or ``other``.
    ``native``: the provider's own form of the answer; later requests of the run carry it back to the adapter.
    """

    reason: str = "stop"
    usage: Usage | None = None
    response_id: str | None = None
    response_model: str | None = None
    native: Any = None


class ModelError(Part, tag="error"):
    """The generation failed; ``error`` is an exception or a text."""

    error: Any = None
    code: str | None = None


class Abort(Part, tag="abort"):
    """The generation was given up because the run is to end."""


StreamPart: TypeAlias = (
    TextStart
    | TextDelta
    | TextEnd
    | ReasoningStart
    | ReasoningDelta
    | ReasoningEnd
    | ToolInputStart
    | ToolInputDelta
    | ToolInputEnd
    | ToolCall
    | ToolResult
    | ToolFailure
    | ToolOutputDenied
    | ApprovalRequest
    | StepBreak
    | UsageReport
    | Finish
    | ModelError
    | Abort
)

_KINDS: Final[Mapping[str, type[Part]]] = {
    str(kind.__struct_config__.tag): kind for kind in cast("Any", StreamPart).__args__
}


def _spellings(kind: type[msgspec.Struct]) -> dict[str, str]:
    return {
        spelling: known.name
        for known in msgspec.structs.fields(kind)
        for spelling in (known.name, known.encode_name)
    }


def _texts(kind: type[msgspec.Struct]) -> tuple[tuple[str, bool], ...]:
    """Return the fields that hold text, and whether each may be absent."""
    return tuple(
        (known.name, known.type is not str)
        for known in msgspec.structs.fields(kind)
        if known.type in (str, str | None)
    )


_FIELDS: Final = {tag: _spellings(kind) for tag, kind in _KINDS.items()}
_USAGE_FIELDS: Final = _spellings(Usage)
_TEXTS: Final = {kind: _texts(kind) for kind in _KINDS.values()}


def _named(members: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    return {names[key]: member for key, member in members.items() if key in names}


def as_part(value: object) -> StreamPart | None:
    """Return a part given as a struct or as a dict; ``None`` for a kind that says nothing to a client.

    Raises:
        TypeError: It is neither, it lacks what its kind needs, or something in it is of another type.
    """
    if type(value) is TextDelta and type(value.delta) is str and value.id is None:
        # The short way for what most of a stream is.
        return value
    if isinstance(value, Part):
        return _checked(cast("StreamPart", value))
    if not isinstance(value, Mapping):
        raise TypeError(f"a model's stream yields parts or dicts with a type, not {type(value).__name__}")
    members = cast("Mapping[str, Any]", value)
    tag = members.get("type")
    kind = _KINDS.get(tag) if isinstance(tag, str) else None
    if kind is None:
        return None
    given = _named(members, _FIELDS[members["type"]])
    if isinstance(given.get("usage"), Mapping):
        given["usage"] = Usage(**_named(given["usage"], _USAGE_FIELDS))
    try:
        part = cast("StreamPart", kind(**given))
    except TypeError as error:
        raise TypeError(f"a part of type {tag!r} is incomplete: {error}") from error
    return _checked(part)


def _checked(part: StreamPart) -> StreamPart:
    """Return a part whose texts are texts: no client survives an event in which they are not."""
    for name, optional in _TEXTS.get(type(part), ()):
        value = getattr(part, name)
        if type(value) is str or (optional and value is None):
            continue
        if not isinstance(value, str):
            raise _wrong(part, f"{name} {value!r:.60}, which is no text")
        # A class of its own has no JSON form.
        setattr(part, name, str.__str__(value))
    if isinstance(part, Finish | UsageReport) and not isinstance(cast("object", part.usage), Usage | None):
        raise _wrong(part, f"usage {part.usage!r:.60}, which is no count of tokens")
    return part


def _wrong(part: StreamPart, what: str) -> TypeError:
    return TypeError(f"a part of type {part.__struct_config__.tag!r} has the {what}")
