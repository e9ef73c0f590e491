"""Reading a tool's function: its parameters with their types, and the one that takes the context."""

from __future__ import annotations

import functools
import inspect
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, Union, cast, get_args, get_origin

from jumpseat.agents.builtin.tools.context import ToolContext
from jumpseat.agents.builtin.tools.hints import bare, is_pydantic
from jumpseat.errors import ToolDefinitionError

__all__ = ["NO_DEFAULT", "Parameter", "Signature", "read_signature"]

NO_DEFAULT: Final = inspect.Parameter.empty
_UNUSABLE: Final = {
    inspect.Parameter.VAR_POSITIONAL: "*{} cannot be filled from JSON arguments: name each parameter",
    inspect.Parameter.VAR_KEYWORD: "**{} cannot be filled from JSON arguments: name each parameter",
    inspect.Parameter.POSITIONAL_ONLY: "{} is positional-only, and arguments are passed by name",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One parameter of a function.

    Attributes:
        name: Its name.
        hint: Its type; ``Any`` without an annotation.
        default: What the function takes when it is absent, ``NO_DEFAULT`` if it is required.
        fill: Makes the value to pass when it is absent; ``None`` leaves that to the function.
        by_position: It can only be passed by position.
    """

    name: str
    hint: Any
    default: Any = NO_DEFAULT
    fill: Callable[[], Any] | None = None
    by_position: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """The parameters that a model fills, and the name of the one that takes the context."""

    parameters: tuple[Parameter, ...]
    context: str | None = None


def read_signature(
    function: Callable[..., Any], names: Mapping[str, Any], *, schema_given: bool = False
) -> Signature:
    """Return the signature of a tool's function.

    Args:
        function: The function.
        names: What annotations written as text may name beside the globals of the function's module.
        schema_given: What the function takes is defined elsewhere; its one parameter may be of any kind.

    Raises:
        ToolDefinitionError: A parameter cannot be filled from JSON arguments; the message names it.
    """
    try:
        found = inspect.signature(function).parameters.values()
    except (ValueError, TypeError) as error:
        if schema_given:
            return Signature(parameters=(Parameter(name="arguments", hint=Any, by_position=True),))
        raise ToolDefinitionError(f"the parameters of {function!r} are unknown: {error}") from error
    bound = _bound_names(function)
    scope = {"ToolContext": ToolContext, **_globals(function), **names}
    context: str | None = None
    parameters: list[Parameter] = []
    for raw in found:
        if raw.name in bound:
            continue
        hint = _resolved(raw, scope, lenient=schema_given)
        if _is_context(hint):
            if context is not None:
                raise ToolDefinitionError(f"parameter {raw.name!r}: a second one for the ToolContext")
            _refuse_kind(raw, ())
            context = raw.name
            continue
        _refuse_kind(raw, (inspect.Parameter.POSITIONAL_ONLY,) if schema_given else ())
        parameters.append(_parameter(raw, hint))
    if parameters and parameters[0].name in {"self", "cls"} and _is_in_a_class(function):
        raise ToolDefinitionError(
            f"parameter {parameters[0].name!r}: make a tool of the bound method, define_tool(thing.method)"
        )
    return Signature(parameters=tuple(parameters), context=context)


def _parameter(raw: inspect.Parameter, hint: Any) -> Parameter:
    default: Any = raw.default
    by_position = raw.kind is inspect.Parameter.POSITIONAL_ONLY
    if type(default).__name__ == "FieldInfo" and is_pydantic(default):
        hint = Annotated[hint, default]
        if default.is_required():
            return Parameter(name=raw.name, hint=hint, by_position=by_position)
        fill = functools.partial(default.get_default, call_default_factory=True)
        # Its schema tells of the default.
        return Parameter(name=raw.name, hint=hint, default=None, fill=fill, by_position=by_position)
    return Parameter(name=raw.name, hint=hint, default=default, by_position=by_position)


def _refuse_kind(raw: inspect.Parameter, allowed: tuple[Any, ...]) -> None:
    complaint = None if raw.kind in allowed else _UNUSABLE.get(raw.kind)
    if complaint is not None:
        raise ToolDefinitionError(f"parameter {raw.name!r}: {complaint.format(raw.name)}")


def _resolved(raw: inspect.Parameter, scope: dict[str, Any], *, lenient: bool) -> Any:
    if raw.annotation is NO_DEFAULT:
        return Any
    holder = types.SimpleNamespace(__annotations__={raw.name: raw.annotation})
    try:
        return typing.get_type_hints(cast("Any", holder), scope, scope, include_extras=True)[raw.name]
    except Exception as error:
        # An annotation is code: whatever it raises means that it cannot be read.
        if lenient:
            return Any
        raise ToolDefinitionError(
            f"parameter {raw.name!r}: the annotation {raw.annotation!r} cannot be read: {error}"
        ) from error


def _is_context(hint: Any) -> bool:
    hint = bare(hint)
    if get_origin(hint) in (Union, types.UnionType):
        return any(_is_context(part) for part in get_args(hint))
    return isinstance(hint, type) and issubclass(hint, ToolContext)


def _globals(function: Callable[..., Any]) -> dict[str, Any]:
    inner: Any = inspect.unwrap(function)
    while isinstance(inner, functools.partial):
        inner = inspect.unwrap(cast("functools.partial[Any]", inner).func)
    if not hasattr(inner, "__globals__"):
        inner = getattr(inner, "__func__", None) or type(inner).__call__
    return cast("dict[str, Any]", getattr(inner, "__globals__", {}))


def _bound_names(function: Any) -> set[str]:
    """Return what a partial has fixed by name: it is nobody's business, a model's least of all."""
    names: set[str] = set()
    while isinstance(function, functools.partial):
        part = cast("functools.partial[Any]", function)
        names.update(part.keywords)
        function = part.func
    return names


def _is_in_a_class(function: Callable[..., Any]) -> bool:
    *outer, _name = getattr(function, "__qualname__", "").split(".")
    return bool(outer) and outer[-1] != "<locals>"
