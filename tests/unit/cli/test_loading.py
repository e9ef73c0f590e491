"""`module:runtime` finds a runtime, or says what is wrong."""

import itertools
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from jumpseat.cli.loading import TargetFailed, load_runtime
from jumpseat.errors import ConfigurationError
from jumpseat.runtime import CopilotRuntime

_numbers = itertools.count(1)

RUNTIME = """\
from jumpseat.runtime import CopilotRuntime

async def agent(input, context):
    yield {}

runtime = CopilotRuntime(agents={"default": agent})

def factory():
    return runtime

async def coroutine():
    return runtime

def wrong():
    return 7

def broken():
    raise OSError("no such luck")

class Settings:
    runtime = runtime
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))

    def write(source: str) -> str:
        name = f"loading_target_{next(_numbers)}"
        (tmp_path / f"{name}.py").write_text(source)
        return name

    return write


@pytest.mark.parametrize("name", ["runtime", "factory", "Settings.runtime"])
def test_a_runtime_or_a_function_that_returns_one_is_found(module: Callable[[str], str], name: str):
    assert isinstance(load_runtime(f"{module(RUNTIME)}:{name}"), CopilotRuntime)


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("{module}", "not of the form module:name"),
        (":runtime", "not of the form module:name"),
        ("{module}:", "not of the form module:name"),
        ("{module}.py:runtime", "as in '{module}:runtime'"),
        ("src/{module}.py", "as in 'src.{module}:runtime'"),
        ("no_such_module:runtime", "no module 'no_such_module'"),
        ("{module}.inner:runtime", "no module '{module}.inner'"),
        ("{module}:missing", "no 'missing'; did you mean '{module}:runtime'?"),
        ("{module}:Settings.missing", "no 'Settings.missing'"),
        ("{module}:Settings", "class (Settings)"),
        ("{module}:CopilotRuntime", "class (CopilotRuntime)"),
        ("{module}:coroutine", "coroutine function"),
        ("{module}:wrong", "returned a int"),
    ],
)
def test_a_wrong_target_is_named(module: Callable[[str], str], target: str, says: str):
    name = module(RUNTIME)
    with pytest.raises(ConfigurationError) as error:
        load_runtime(target.format(module=name))
    assert says.format(module=name) in str(error.value)


def test_what_the_users_code_raised_is_kept(module: Callable[[str], str]):
    with pytest.raises(TargetFailed, match="calling") as error:
        load_runtime(f"{module(RUNTIME)}:broken")
    assert isinstance(error.value.__cause__, OSError)
    with pytest.raises(TargetFailed, match="importing") as error:
        load_runtime(f"{module('import no_such_dependency')}:runtime")
    assert isinstance(error.value.__cause__, ModuleNotFoundError)
