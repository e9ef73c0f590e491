"""From the events of OpenAI's Responses API to stream parts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from jumpseat.agents.builtin.converters.base import Item
from jumpseat.agents.builtin.converters.fields import field
from jumpseat.agents.builtin.converters.upstream import events_in, plain
from jumpseat.agents.builtin.parts import (
    ApprovalRequest,
    Finish,
    ModelError,
    ReasoningDelta,
    ReasoningEnd,
    StepBreak,
    TextDelta,
    TextEnd,
    ToolCall,
    ToolFailure,
    ToolInputDelta,
    ToolInputStart,
    ToolResult,
    Usage,
    UsageReport,
)

__all__ = ["ResponsesReader", "response_usage"]

_PROVIDER: Final = "openai"
# What the Agents SDK calls every item of a model that gives no ids.
_FAKE_ID: Final = "__fake_id__"
# Tools that OpenAI runs: the item's type -> the tool's name, and what of the item is its input.
_HOSTED: Final[Mapping[str, tuple[str, tuple[str, ...]]]] = {
    "web_search_call": ("web_search", ("action",)),
    "file_search_call": ("file_search", ("queries",)),
    "code_interpreter_call": ("code_interpreter", ("code",)),
    "image_generation_call": ("image_generation", ("action", "revised_prompt")),
}
# Calls that the developer's own code answers.
_LOCAL: Final = frozenset({"computer_call", "local_shell_call", "shell_call", "apply_patch_call"})
_BOOKKEEPING: Final = frozenset({"id", "call_id", "type", "status", "created_by", "caller"})
_CODES: Final = {
    "rate_limit_exceeded": "rate_limit",
    "insufficient_quota": "rate_limit",
    "context_length_exceeded": "context_length",
    "content_filter": "content_filter",
    "bio_policy": "content_filter",
    "misalignment_policy_violation": "content_filter",
    "image_content_policy_violation": "content_filter",
    "invalid_api_key": "authentication_error",
    "vector_store_timeout": "timeout",
}


@dataclass(slots=True)
class _Call:
    id: str
    name: str
    complete: bool = False


class ResponsesReader:
    """Reads the events of one or several responses, one after the other.

    Args:
        hosted_approvals: A hosted MCP tool that waits for an approval ends the run with an interrupt; off
            where somebody else answers such requests.
    """

    def __init__(self, *, hosted_approvals: bool = True) -> None:
        self._hosted_approvals = hosted_approvals
        self._begun = False
        self._calls: dict[Any, _Call] = {}
        self._made_calls = False
        self._reasoning_at: tuple[Any, ...] | None = None

    def feed(self, event: Any) -> Iterable[Item]:
        """Return what an event says; nothing for those that only repeat or announce. AG-UI events pass."""
        handle = self._handlers.get(field(event, "type"))
        return events_in(event) if handle is None else handle(self, event)

    def _created(self, event: Any) -> Iterator[Item]:
        if self._begun:
            yield StepBreak()
        self._begun = True
        self._calls, self._made_calls, self._reasoning_at = {}, False, None

    # --- text and reasoning

    def _text(self, event: Any) -> Iterable[Item]:
        return (TextDelta(delta=field(event, "delta") or "", id=_own_id(field(event, "item_id"))),)

    def _reasoning(self, event: Any) -> Iterable[Item]:
        delta = field(event, "delta")
        if not delta:
            return ()
        part = field(event, "summary_index"), field(event, "content_index")
        place = (field(event, "output_index"), *part)
        before, self._reasoning_at = self._reasoning_at, place
        if before is not None and before != place and before[0] == place[0]:
            delta = "\n\n" + delta
        return (ReasoningDelta(delta=delta, id=_own_id(field(event, "item_id"))),)

    def _reasoning_done(self, item: object) -> Iterable[Item]:
        signature = field(item, "encrypted_content") or None
        shown, self._reasoning_at = self._reasoning_at, None
        if shown is None and signature is None:
            return ()
        return (ReasoningEnd(id=_own_id(field(item, "id")), signature=signature, provider=_PROVIDER),)

    # --- items

    def _item_added(self, event: Any) -> Iterator[Item]:
        item = field(event, "item")
        kind = field(item, "type")
        if kind == "function_call":
            call = _Call(field(item, "call_id"), field(item, "name"))
        elif kind == "mcp_call":
            call = _Call(field(item, "id"), field(item, "name"))
        elif kind in _HOSTED:
            call = _Call(field(item, "id"), _HOSTED[kind][0])
        else:
            return
        self._calls[_key(event)] = call
        yield ToolInputStart(id=call.id, name=call.name)

    def _arguments(self, event: Any) -> Iterable[Item]:
        call = self._calls.get(_key(event))
        return () if call is None else (ToolInputDelta(id=call.id, delta=field(event, "delta") or ""),)

    def _arguments_done(self, event: Any) -> Iterable[Item]:
        call = self._calls.get(_key(event))
        return () if call is None else self._complete(call, field(event, "arguments"))

    def _complete(self, call: _Call, arguments: Any, *, hosted: bool = False) -> Iterator[Item]:
        if call.complete:
            return
        call.complete = True
        self._made_calls = self._made_calls or not hosted
        yield ToolCall(id=call.id, name=call.name, input=arguments, provider_executed=hosted)

    def _item_done(self, event: Any) -> Iterable[Item]:
        item = field(event, "item")
        kind = field(item, "type")
        if kind == "message":
            return (TextEnd(),)
        if kind == "reasoning":
            return self._reasoning_done(item)
        if kind == "function_call":
            call = self._call_of(event, item, field(item, "name"))
            return self._complete(call, field(item, "arguments"))
        if kind == "mcp_call":
            return self._mcp_done(event, item)
        if kind in _HOSTED:
            return self._hosted_done(event, item, *_HOSTED[kind])
        if kind == "custom_tool_call":
            # Its input is any text, and clients read arguments as JSON.
            call = self._call_of(event, item, field(item, "name"))
            return self._complete(call, {"input": field(item, "input")})
        if kind in _LOCAL:
            call = self._call_of(event, item, kind.removesuffix("_call"))
            return self._complete(call, _without(item, _BOOKKEEPING))
        if kind == "mcp_approval_request" and self._hosted_approvals:
            return (_approval(item),)
        return ()

    def _call_of(self, event: Any, item: object, name: str) -> _Call:
        known = self._calls.get(_key(event))
        return known or _Call(field(item, "call_id") or field(item, "id"), name)

    def _mcp_done(self, event: Any, item: object) -> Iterator[Item]:
        call = self._call_of(event, item, field(item, "name"))
        yield from self._complete(call, field(item, "arguments"), hosted=True)
        error = field(item, "error")
        if error is not None:
            yield ToolFailure(id=call.id, error=_error_text(error))
        else:
            yield ToolResult(id=call.id, name=call.name, output=field(item, "output"))

    def _hosted_done(self, event: Any, item: object, name: str, inputs: tuple[str, ...]) -> Iterator[Item]:
        call = self._call_of(event, item, name)
        body = _without(item, frozenset({"id", "type"}))
        given = {key: body.pop(key) for key in inputs if body.get(key) is not None}
        # A picture's bytes would be sent to the model again, as text, with every later message.
        if name == "image_generation":
            body.pop("result", None)
        yield from self._complete(call, given, hosted=True)
        yield ToolResult(id=call.id, name=name, output={k: v for k, v in body.items() if v is not None})

    # --- ends

    def _completed(self, event: Any) -> Iterator[Item]:
        response = field(event, "response")
        cut = field(field(response, "incomplete_details"), "reason")
        if cut is not None:
            reason = "content_filter" if cut == "content_filter" else "length"
        else:
            reason = "tool_call" if self._made_calls else "stop"
        yield Finish(
            reason=reason,
            usage=response_usage(response),
            response_id=_own_id(field(response, "id")),
            response_model=field(response, "model"),
        )

    def _failed(self, event: Any) -> Iterator[Item]:
        response = field(event, "response")
        if (usage := response_usage(response)) is not None:
            yield UsageReport(usage=usage)
        yield _error(field(response, "error"))

    def _error(self, event: Any) -> Iterator[Item]:
        yield _error(field(event, "error") or event)

    _handlers: ClassVar[dict[str, Callable[[ResponsesReader, Any], Iterable[Item]]]] = {
        "response.created": _created,
        "response.output_text.delta": _text,
        "response.refusal.delta": _text,
        "response.reasoning_summary_text.delta": _reasoning,
        "response.reasoning_text.delta": _reasoning,
        "response.output_item.added": _item_added,
        "response.function_call_arguments.delta": _arguments,
        "response.function_call_arguments.done": _arguments_done,
        "response.mcp_call_arguments.delta": _arguments,
        "response.output_item.done": _item_done,
        "response.completed": _completed,
        "response.incomplete": _completed,
        "response.failed": _failed,
        "error": _error,
    }


def response_usage(response: object) -> Usage | None:
    """Return the token counts of a response, ``None`` when it has none."""
    counts = field(response, "usage")
    if counts is None:
        return None
    given = field(counts, "input_tokens_details")
    return Usage(
        input_tokens=field(counts, "input_tokens"),
        output_tokens=field(counts, "output_tokens"),
        total_tokens=field(counts, "total_tokens"),
        reasoning_tokens=field(field(counts, "output_tokens_details"), "reasoning_tokens"),
        cached_input_tokens=field(given, "cached_tokens"),
        cache_write_input_tokens=field(given, "cache_write_tokens"),
        provider=_PROVIDER,
        model=field(response, "model"),
    )


def _own_id(value: Any) -> str | None:
    return value if isinstance(value, str) and value != _FAKE_ID else None


def _key(event: object) -> Any:
    place = field(event, "output_index")
    return field(event, "item_id") if place is None else place


def _without(item: object, names: frozenset[str]) -> dict[str, Any]:
    members = plain(item)
    return {key: value for key, value in members.items() if key not in names and value is not None}


def _approval(item: object) -> ApprovalRequest:
    name = field(item, "name")
    metadata = {"toolName": name, "serverLabel": field(item, "server_label")}
    return ApprovalRequest(id=field(item, "id"), message=f'Approve "{name}"?', metadata=metadata)


def _error_text(error: object) -> str:
    if isinstance(error, str):
        return error
    return str(field(error, "message") or plain(error))


def _error(error: object) -> ModelError:
    code = _CODES.get(field(error, "code") or "", "provider_error")
    if str(field(error, "code") or "").startswith("invalid_") and code == "provider_error":
        code = "invalid_request"
    return ModelError(error=field(error, "message") or "The model's stream failed", code=code)
