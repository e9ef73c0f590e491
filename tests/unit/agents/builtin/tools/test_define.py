"""Making tools: the three forms, what a tool knows of itself, and what cannot be a tool."""

import functools
import inspect
from typing import Any

import msgspec
import pytest

from jumpseat.agents.builtin.tools import ToolContext, ToolDefinition, define_tool
from jumpseat.errors import ConfigurationError, ToolDefinitionError
from tool_calls import Calls

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


async def forecast(city: str) -> str:
    """Tell the weather.

    For one city only.
    """
    return f"sun in {city}"


FORMS = [
    define_tool(forecast),
    define_tool()(forecast),
    define_tool(name="forecast", timeout=None)(forecast),
    define_tool(name="forecast", description="Tell the weather.", execute=forecast),
    define_tool(
        name="forecast",
        description="Tell the weather.",
        parameters=SCHEMA,
        execute=lambda arguments: forecast(**arguments),
    ),
]


@pytest.mark.parametrize("tool", FORMS)
async def test_every_form_gives_the_same_tool(tool: ToolDefinition):
    assert isinstance(tool, ToolDefinition)
    assert (tool.name, tool.description, tool.parameters) == ("forecast", "Tell the weather.", SCHEMA)
    assert (tool.interrupt, tool.timeout) == (False, None)
    assert await Calls().result(tool, {"city": "Oslo"}) == "sun in Oslo"
    assert "Invalid arguments" in (await Calls().result(tool, {}))["error"]


async def test_calling_a_tool_calls_the_plain_function():
    tool = define_tool(forecast)
    assert await tool("Oslo") == "sun in Oslo"
    assert tool.execute is forecast
    assert inspect.signature(tool) == inspect.signature(forecast)


def test_options_are_kept():
    tool = define_tool(name="say", description="", timeout=2)(forecast)
    assert (tool.name, tool.description, tool.timeout) == ("say", "", 2)


def test_an_interrupt_tool_has_no_function():
    tool = define_tool(
        name="approve",
        description="Ask.",
        parameters=SCHEMA,
        interrupt=True,
        interrupt_reason="approval",
        interrupt_message="Really?",
    )
    assert (tool.interrupt, tool.execute) == (True, None)
    assert (tool.interrupt_reason, tool.interrupt_message) == ("approval", "Really?")
    assert tool.parameters == SCHEMA
    with pytest.raises(TypeError, match="interrupt"):
        tool()


def test_an_interrupt_has_a_usual_reason_and_no_message():
    tool = define_tool(name="approve", interrupt=True)
    assert (tool.interrupt_reason, tool.interrupt_message) == ("tool_call", None)
    assert tool.parameters == {"type": "object", "properties": {}}


async def test_a_call_of_an_interrupt_tool_is_answered_with_an_error():
    assert "waits" in (await Calls().result(define_tool(name="approve", interrupt=True)))["error"]


@pytest.mark.parametrize("name", ["AGUISendStateSnapshot", "a", "A-b_9", "x" * 64])
def test_names_that_are_allowed(name: str):
    assert define_tool(name=name, execute=forecast).name == name


@pytest.mark.parametrize("name", ["", "a b", "ä", "a.b", "x" * 65, "a\n", 1])
def test_names_that_are_not(name: Any):
    with pytest.raises(ToolDefinitionError, match="tool name"):
        define_tool(name=name, execute=forecast)


def test_a_lambda_needs_a_name():
    with pytest.raises(ToolDefinitionError, match=r"name=\.\.\."):
        define_tool(lambda: 1)


def star(*args: int) -> None: ...
def stars(**kwargs: int) -> None: ...
def by_position(a: int, /) -> None: ...
def no_schema(a: int, b: functools.partial[int]) -> None: ...
def unknown(a: "Missing") -> None: ...  # noqa: F821  # pyright: ignore
def two_contexts(a: ToolContext, b: ToolContext) -> None: ...


class Service:
    def method(self, city: str) -> str:
        return city


@pytest.mark.parametrize(
    ("function", "parameter"),
    [
        (star, "args"),
        (stars, "kwargs"),
        (by_position, "a"),
        (no_schema, "b"),
        (unknown, "a"),
        (two_contexts, "b"),
        (Service.method, "self"),
    ],
)
def test_a_parameter_that_cannot_be_filled_is_named(function: Any, parameter: str):
    with pytest.raises(ToolDefinitionError, match=f"parameter '{parameter}'"):
        define_tool(function)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"execute": forecast, "interrupt": True}, "exclude"),
        ({"execute": None}, "needs a function"),
        ({"execute": 1}, "must be a function"),
        ({"execute": FORMS[0]}, "must be a function"),
        ({"execute": forecast, "timeout": 0}, "timeout"),
        ({"execute": forecast, "timeout": -1}, "timeout"),
        ({"execute": forecast, "timeout": True}, "timeout"),
        ({"execute": forecast, "timeout": float("inf")}, "timeout"),
        ({"execute": forecast, "timeout": "1"}, "timeout"),
        ({"execute": forecast, "description": 1}, "description"),
        ({"execute": forecast, "interrupt_message": "x"}, "interrupt=True"),
        ({"execute": forecast, "parameters": 1}, "parameters"),
        ({"execute": forecast, "parameters": int}, "parameters"),
        ({"execute": forecast, "parameters": {"type": "string"}}, "'object'"),
        ({"execute": forecast, "parameters": {"type": ["object", "null"]}}, "'object'"),
        ({"execute": forecast, "parameters": {"properties": []}}, "properties"),
        ({"execute": forecast, "parameters": {"properties": {"a": {"type": "what"}}}}, "JSON Schema"),
        ({"execute": lambda a, b: None, "parameters": SCHEMA}, "a, b"),
        ({"execute": lambda **a: None, "parameters": SCHEMA}, "parameter 'a'"),
    ],
)
def test_what_cannot_be_a_tool_is_refused(options: dict[str, Any], words: str):
    with pytest.raises(ToolDefinitionError, match=words) as refused:
        define_tool(name="forecast", **options)
    assert isinstance(refused.value, ConfigurationError)
    assert str(refused.value).startswith("tool 'forecast': ")


def test_a_decorator_that_was_never_applied_is_no_tool():
    assert not isinstance(define_tool(name="forecast"), ToolDefinition)


async def test_annotations_may_name_classes_of_the_defining_function():
    class Place(msgspec.Struct):
        city: str

    @define_tool
    async def visit(place: "Place", other: "Place | None" = None) -> str:
        return place.city

    assert await Calls().result(visit, {"place": {"city": "Oslo"}}) == "Oslo"


async def test_a_helper_that_makes_tools_does_not_change_what_annotations_mean():
    def make(function: Any) -> ToolDefinition:
        Trip = str  # noqa: F841, N806 - a name that the function uses for something else
        return define_tool(function)

    assert make(travel).parameters["properties"] == {"days": {"type": "integer"}}


async def test_what_a_partial_has_fixed_is_not_shown_to_the_model():
    def search(query: str, key: str, *, limit: int) -> list[Any]:
        return [query, key, limit]

    tool = define_tool(name="search", execute=functools.partial(functools.partial(search, key="k"), limit=3))
    assert tool.parameters["properties"] == {"query": {"type": "string"}}
    assert await Calls().result(tool, {"query": "q", "key": "mine", "limit": 9}) == ["q", "k", 3]


class Trip(msgspec.Struct):
    days: int


async def travel(trip: "Trip") -> int:
    return trip.days


class Greeter:
    """Greets."""

    def __init__(self, word: str) -> None:
        self.word = word

    async def greet(self, name: str) -> str:
        """Greet somebody."""
        return f"{self.word} {name}"

    def __call__(self, name: str) -> str:
        """Greet in a thread."""
        return f"{self.word} {name}"


async def test_methods_partials_and_objects_are_functions():
    method = define_tool(Greeter("hi").greet)
    assert (method.name, method.description) == ("greet", "Greet somebody.")
    thing = define_tool(name="thing", execute=Greeter("hey"))
    assert thing.description == "Greet in a thread."
    part = define_tool(name="part", execute=functools.partial(Greeter.greet, Greeter("ho")))
    for tool, text in ((method, "hi Ada"), (thing, "hey Ada"), (part, "ho Ada")):
        assert await Calls().result(tool, {"name": "Ada"}) == text
