"""Calling what a user supplied, sync or async, and telling its failure from the caller's own end."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from inspect import Parameter
from typing import Any

from jumpseat.errors import ConfigurationError

__all__ = ["CallForm", "being_cancelled", "call_form", "call_user", "call_user_in", "is_async", "is_failure"]


def is_async(function: Callable[..., Any]) -> bool:
    """Say whether calling ``function`` gives an awaitable."""
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        getattr(function, "__call__", None)  # noqa: B004 - the method of a callable object is meant
    )


def being_cancelled() -> bool:
    """Say whether somebody asked the running task to end; libraries raise ``CancelledError`` for less."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def is_failure(error: BaseException) -> bool:
    """Say whether what a user's function raised is its own failure, also when it is a ``SystemExit``.

    It is none when somebody asked the current task to end, or the process by its keyboard.
    """
    if isinstance(error, asyncio.CancelledError):
        return not being_cancelled()
    return not isinstance(error, KeyboardInterrupt | GeneratorExit)


async def call_user(function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    """Call ``function`` and return its result.

    A sync function runs in a worker thread, with the context variables of the caller. Cancelling cancels an
    async function; a sync one is left to end by itself.
    """
    return await call_user_in(asyncio.to_thread, function, *args, **kwargs)


async def call_user_in(
    in_thread: Callable[[Callable[[], Any]], Awaitable[Any]],
    function: Callable[..., Any],
    /,
    *args: Any,
    **kwargs: Any,
) -> Any:
    """Do what ``call_user`` does; ``in_thread`` gives a sync function its thread."""
    if is_async(function):
        return await function(*args, **kwargs)
    result, error = await in_thread(partial(_outcome, function, args, kwargs))
    if error is not None:
        raise error
    # A sync function may hand back an awaitable: a lambda around an async function.
    return await result if inspect.isawaitable(result) else result


def _outcome(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[Any, BaseException | None]:
    """Return what a function returns and what it raises; a future cannot hold every exception."""
    try:
        return function(*args, **kwargs), None
    except BaseException as error:
        return None, error


@dataclass(frozen=True, slots=True)
class CallForm:
    """A user's function and which of the offered values it takes."""

    function: Callable[..., Any]
    positional: tuple[str, ...]
    keywords: tuple[str, ...]

    async def __call__(self, values: Mapping[str, Any]) -> Any:
        """Call the function with its share of ``values``."""
        args, kwargs = self.arguments(values)
        return await call_user(self.function, *args, **kwargs)

    def arguments(self, values: Mapping[str, Any]) -> tuple[list[Any], dict[str, Any]]:
        """Return the function's share of ``values``, by position and by keyword."""
        positional = [values[name] for name in self.positional]
        return positional, {name: values[name] for name in self.keywords}


def call_form(
    function: object, *, option: str, names: Sequence[str], positional: Sequence[tuple[str, ...]]
) -> CallForm:
    """Find out by inspection how ``function`` wants to be called.

    Args:
        function: What the user supplied.
        option: How to name it in an error.
        names: The values that can be given by keyword. They are, when every required parameter is among
            them; a function with ``**kwargs`` gets all.
        positional: Otherwise the first of these argument lists that fits.

    Raises:
        ConfigurationError: It is not callable, or takes none of these forms.
    """
    if not callable(function) or isinstance(function, type):
        raise ConfigurationError(f"{option} must be a callable, not {_describe(function)}")
    signature = _signature(function)
    if signature is not None:
        keywords = _keyword_names(signature, names)
        if keywords is not None:
            return CallForm(function, (), keywords)
    for form in positional:
        if signature is None or _fits(signature, len(form)):
            return CallForm(function, form, ())
    wanted = " or ".join(f"({', '.join(form)})" for form in positional)
    raise ConfigurationError(
        f"{option} takes parameters that it will not be given: it must take {wanted}, "
        f"or keywords among {', '.join(names)}"
    )


def _keyword_names(signature: inspect.Signature, names: Sequence[str]) -> tuple[str, ...] | None:
    parameters = list(signature.parameters.values())
    if any(parameter.kind is Parameter.VAR_KEYWORD for parameter in parameters):
        accepted = tuple(names)
    else:
        accepted = tuple(name for name in names if _by_keyword(signature.parameters.get(name)))
    required = [p for p in parameters if p.default is Parameter.empty and not _is_variadic(p)]
    if not all(parameter.name in names and _by_keyword(parameter) for parameter in required):
        return None
    return accepted if accepted or not parameters else None


def _by_keyword(parameter: Parameter | None) -> bool:
    return parameter is not None and parameter.kind in (
        Parameter.POSITIONAL_OR_KEYWORD,
        Parameter.KEYWORD_ONLY,
    )


def _is_variadic(parameter: Parameter) -> bool:
    return parameter.kind in (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)


def _fits(signature: inspect.Signature, count: int) -> bool:
    try:
        signature.bind(*range(count))
    except TypeError:
        return False
    return True


def _signature(function: Callable[..., Any]) -> inspect.Signature | None:
    try:
        return inspect.signature(function)
    except (TypeError, ValueError):  # a built-in that tells nothing about itself
        return None


def _describe(value: object) -> str:
    return f"the class {value.__name__}" if isinstance(value, type) else type(value).__name__
