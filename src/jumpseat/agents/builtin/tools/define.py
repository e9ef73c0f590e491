"""``define_tool``: making a tool of a function."""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, cast, overload

from jumpseat.agents.builtin.tools.arguments import Arguments
from jumpseat.agents.builtin.tools.definition import ToolDefinition
from jumpseat.agents.builtin.tools.docstrings import first_paragraph, parameter_texts
from jumpseat.agents.builtin.tools.hints import bare, is_record
from jumpseat.agents.builtin.tools.schema_arguments import SchemaArguments
from jumpseat.agents.builtin.tools.schemas import EMPTY_SCHEMA
from jumpseat.agents.builtin.tools.signature import NO_DEFAULT, Parameter, Signature, read_signature
from jumpseat.agents.builtin.tools.typed_arguments import NamedArguments, RecordArguments
from jumpseat.errors import ToolDefinitionError

__all__ = ["ToolDecorator", "define_tool"]

_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolDecorator:
    """What ``@define_tool(...)`` puts on a function; not a tool before that."""

    name: str | None
    description: str | None
    parameters: Any
    interrupt: bool
    interrupt_reason: str | None
    interrupt_message: str | None
    timeout: float | None
    caller: str
    names: Mapping[str, Any]

    def __call__(self, function: Callable[..., Any]) -> ToolDefinition:
        """Return the tool that runs ``function``."""
        return self.applied(function)

    def applied(self, execute: Callable[..., Any] | None) -> ToolDefinition:
        """Return the tool.

        Raises:
            ToolDefinitionError: Something about it cannot work; the message names what.
        """
        name = _checked_name(self.name, execute)
        try:
            self._check_options(execute)
            arguments, context = self._arguments(execute)
        except ToolDefinitionError as error:
            raise ToolDefinitionError(f"tool {name!r}: {error}") from error.__cause__
        description = self.description
        return ToolDefinition(
            name=name,
            description=first_paragraph(_docstring(execute)) if description is None else description,
            execute=execute,
            interrupt=self.interrupt,
            interrupt_reason=self.interrupt_reason or "tool_call",
            interrupt_message=self.interrupt_message,
            timeout=self.timeout,
            arguments=arguments,
            context_name=context,
        )

    def _check_options(self, execute: Callable[..., Any] | None) -> None:
        if self.interrupt and execute is not None:
            raise ToolDefinitionError("interrupt=True and a function exclude each other: nothing is run")
        if not self.interrupt and execute is None:
            raise ToolDefinitionError("it needs a function: pass execute=..., or interrupt=True")
        if execute is not None and (not callable(execute) or isinstance(execute, ToolDefinition)):
            raise ToolDefinitionError(f"execute must be a function, not {type(execute).__name__}")
        if not self.interrupt and (self.interrupt_reason or self.interrupt_message):
            raise ToolDefinitionError("interrupt_reason and interrupt_message need interrupt=True")
        for option in ("description", "interrupt_reason", "interrupt_message"):
            if not isinstance(getattr(self, option), str | None):
                raise ToolDefinitionError(f"{option} must be a string")
        limit = cast("Any", self.timeout)
        if limit is not None and not (_is_number(limit) and math.isfinite(limit) and limit > 0):
            raise ToolDefinitionError(f"timeout must be a number of seconds above 0, not {limit!r}")

    def _arguments(self, execute: Callable[..., Any] | None) -> tuple[Arguments, str | None]:
        given = self.parameters
        if execute is None:
            return _given_arguments(EMPTY_SCHEMA if given is None else given, None), None
        # Annotations that are text may name classes of the function that the tool is defined in.
        qualname = getattr(inspect.unwrap(execute), "__qualname__", "")
        names: Mapping[str, Any] = self.names if qualname.startswith(f"{self.caller}.<locals>.") else {}
        signature = read_signature(execute, names, schema_given=given is not None)
        if given is not None:
            return _given_arguments(given, _taker(signature)), signature.context
        if len(signature.parameters) == 1 and is_record(kind := bare(signature.parameters[0].hint)):
            return RecordArguments(kind, signature.parameters[0]), signature.context
        texts = parameter_texts(_docstring(execute))
        return NamedArguments(signature.parameters, texts), signature.context


@overload
def define_tool(function: Callable[..., Any], /) -> ToolDefinition: ...


@overload
def define_tool(
    *,
    execute: Callable[..., Any],
    name: str | None = ...,
    description: str | None = ...,
    parameters: Any = ...,
    timeout: float | None = ...,
) -> ToolDefinition: ...


@overload
def define_tool(
    *,
    interrupt: bool,
    name: str | None = ...,
    description: str | None = ...,
    parameters: Any = ...,
    interrupt_reason: str | None = ...,
    interrupt_message: str | None = ...,
    execute: Callable[..., Any] | None = ...,
    timeout: float | None = ...,
) -> ToolDefinition: ...


@overload
def define_tool(
    *,
    name: str | None = ...,
    description: str | None = ...,
    parameters: Any = ...,
    timeout: float | None = ...,
) -> ToolDecorator: ...


def define_tool(
    function: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    description: str | None = None,
    parameters: Any = None,
    execute: Any = NO_DEFAULT,
    interrupt: bool = False,
    interrupt_reason: str | None = None,
    interrupt_message: str | None = None,
    timeout: float | None = None,
) -> ToolDefinition | ToolDecorator:
    """Make a tool: ``@define_tool``, ``@define_tool(...)`` or ``define_tool(..., execute=function)``.

    An ``async`` function runs on the event loop, any other in a worker thread with the caller's context
    variables. The last value of a generator is the result, each earlier one is shown as progress. A parameter
    that is annotated ``ToolContext`` receives the context of the call.

    Args:
        function: The function, when used as ``@define_tool``.
        name: What the model calls it, ``[A-Za-z0-9_-]``, at most 64; the function's name by default.
        description: What the model is told of it; the docstring's first paragraph by default.
        parameters: A JSON Schema, or a pydantic model, Struct, dataclass or TypedDict: the function then
            takes one value. By default the function's own parameters count.
        execute: The function, when not used as a decorator.
        interrupt: A call ends the run and waits for an answer from outside; there is no function.
        interrupt_reason: The reason that the interrupt gives, ``tool_call`` by default.
        interrupt_message: What the interrupt says to people.
        timeout: Seconds that a call may take.

    Raises:
        ToolDefinitionError: Something about it cannot work; the message names what.
    """
    frame = inspect.currentframe()
    caller = frame.f_back if frame is not None else None
    decorator = ToolDecorator(
        name=name,
        description=description,
        parameters=parameters,
        interrupt=interrupt,
        interrupt_reason=interrupt_reason,
        interrupt_message=interrupt_message,
        timeout=timeout,
        caller=caller.f_code.co_qualname if caller is not None else "",
        names=dict(caller.f_locals) if caller is not None else {},
    )
    if function is not None:
        return decorator.applied(function)
    if execute is NO_DEFAULT and not interrupt:
        return decorator
    return decorator.applied(None if execute is NO_DEFAULT else execute)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _given_arguments(given: Any, taker: Parameter | None) -> Arguments:
    if isinstance(given, Mapping):
        return SchemaArguments(cast("Mapping[str, Any]", given), taker)
    if is_record(given):
        return RecordArguments(given, taker)
    raise ToolDefinitionError(
        "parameters must be a JSON Schema, a pydantic model, a Struct, a dataclass or a TypedDict, "
        f"not {given!r}"
    )


def _taker(signature: Signature) -> Parameter | None:
    """Return the parameter that takes all arguments as one value, if the function takes any."""
    wanted = [parameter for parameter in signature.parameters if parameter.default is NO_DEFAULT]
    if len(wanted) > 1:
        names = ", ".join(parameter.name for parameter in wanted)
        raise ToolDefinitionError(f"with parameters=... the function takes one value, not {names}")
    return (wanted or [*signature.parameters, None])[0]


def _checked_name(name: object, execute: Any) -> str:
    given = getattr(execute, "__name__", None) if name is None else name
    if not isinstance(given, str) or not _NAME.fullmatch(given):
        raise ToolDefinitionError(
            f"tool name {given!r}: it must be 1 to 64 letters, digits, '_' or '-'; pass name=..."
        )
    return given


def _docstring(execute: Any) -> str | None:
    text = getattr(execute, "__doc__", None)
    # A callable object without a docstring of its own would show its class's.
    if not inspect.isroutine(execute) and text == type(execute).__doc__:
        text = getattr(type(execute).__call__, "__doc__", None) or text
    return text if isinstance(text, str) else None
