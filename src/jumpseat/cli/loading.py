"""Finds the runtime that a `module:name` on the command line means."""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from typing import cast

from jumpseat.errors import ConfigurationError
from jumpseat.runtime import CopilotRuntime

__all__ = ["TargetFailed", "load_runtime"]


class TargetFailed(Exception):
    """The user's own code raised while it was imported or called; the cause says what."""


def load_runtime(target: str) -> CopilotRuntime:
    """Return what ``target`` names: a ``CopilotRuntime``, or what a function without arguments returns.

    The working directory can be imported from, as with ``python -m``.

    Raises:
        ConfigurationError: There is no such module or name, or it is something else.
        TargetFailed: The module or the function raised.
    """
    module_name, _, name = target.partition(":")
    _check_form(target, module_name, name)
    module = _import(module_name)
    found: object = module
    for attribute in name.split("."):
        if not hasattr(found, attribute):
            raise ConfigurationError(_missing_name(module, module_name, name))
        found = getattr(found, attribute)
    return _as_runtime(found, target)


def _check_form(target: str, module_name: str, name: str) -> None:
    if module_name.endswith(".py") or "/" in module_name or "\\" in module_name:
        dotted = ".".join(Path(module_name.replace("\\", "/")).with_suffix("").parts).strip(".")
        raise ConfigurationError(
            f"'{target}' names a file: give the module instead, as in '{dotted}:{name or 'runtime'}'"
        )
    if not module_name or not name:
        raise ConfigurationError(
            f"'{target}' is not of the form module:name, as in 'app:runtime' for the runtime of app.py"
        )


def _import(name: str) -> object:
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name and (name == error.name or name.startswith(error.name + ".")):
            raise ConfigurationError(
                f"There is no module '{error.name}' in {here} or among the installed packages"
            ) from None
        raise TargetFailed(f"importing '{name}' failed") from error
    except Exception as error:
        raise TargetFailed(f"importing '{name}' failed") from error


def _missing_name(module: object, module_name: str, name: str) -> str:
    runtimes = sorted(key for key, value in vars(module).items() if isinstance(value, CopilotRuntime))
    hint = f"; did you mean '{module_name}:{runtimes[0]}'?" if runtimes else ""
    return f"The module '{module_name}' has no '{name}'{hint}"


def _as_runtime(found: object, target: str) -> CopilotRuntime:
    if isinstance(found, CopilotRuntime):
        return found
    if (
        not inspect.isroutine(found)
        or inspect.iscoroutinefunction(found)
        or inspect.isasyncgenfunction(found)
    ):
        raise ConfigurationError(
            f"'{target}' is a {_kind(found)}: name a CopilotRuntime, or a function without arguments that "
            "returns one"
        )
    try:
        made = cast("Callable[[], object]", found)()
    except Exception as error:
        raise TargetFailed(f"calling '{target}' failed") from error
    if not isinstance(made, CopilotRuntime):
        raise ConfigurationError(f"'{target}' returned a {_kind(made)}, not a CopilotRuntime")
    return made


def _kind(found: object) -> str:
    if isinstance(found, type):
        return f"class ({found.__name__})"
    return "coroutine function" if inspect.iscoroutinefunction(found) else type(found).__name__
