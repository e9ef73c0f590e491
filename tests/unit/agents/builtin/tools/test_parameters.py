"""What tools take: the schema that the model sees, and the check of what it sends."""

import dataclasses
import datetime
import subprocess
import sys
from typing import Annotated, Any, Literal, NotRequired

import msgspec
import pydantic
import pytest
from typing_extensions import TypedDict

from jumpseat.agents.builtin.tools import ToolContext, define_tool
from jumpseat.errors import ToolDefinitionError
from tool_calls import Calls


async def by_signature(city: str, days: int = 3) -> Any:
    """Tell.

    Args:
        city: Which city.
        days: How many.
    """
    return {"city": city, "days": days}


class Model(pydantic.BaseModel):
    city: str = pydantic.Field(description="Which city.")
    days: int = pydantic.Field(3, description="How many.")


class Struct(msgspec.Struct):
    city: Annotated[str, msgspec.Meta(description="Which city.")]
    days: Annotated[int, "How many."] = 3


@dataclasses.dataclass
class Data:
    """A trip.

    Attributes:
        city: Which city.
        days: How many.
    """

    city: str
    days: int = 3


class Typed(TypedDict):
    city: Annotated[str, "Which city."]
    days: NotRequired[Annotated[int, "How many."]]


SCHEMA = {
    "type": "object",
    "title": "Trip",
    "properties": {
        "city": {"type": "string", "title": "City", "description": "Which city."},
        "days": {"type": "integer", "default": 3, "description": "How many."},
    },
    "required": ["city"],
}
SOURCES = [by_signature, Model, Struct, Data, Typed, SCHEMA]
DEFAULT_KNOWN = [source for source in SOURCES if source is not Typed]


def tool_of(source: Any, called: list[Any] | None = None) -> Any:
    if source is by_signature:
        return define_tool(source)

    async def take(trip: Any) -> Any:
        if called is not None:
            called.append(trip)
        return trip

    return define_tool(name="take", parameters=source, execute=take)


@pytest.mark.parametrize("source", SOURCES)
def test_every_source_gives_the_same_schema(source: Any):
    schema = tool_of(source).parameters
    assert schema.keys() == {"type", "properties", "required"}
    assert (schema["type"], schema["required"]) == ("object", ["city"])
    days = dict(schema["properties"]["days"])
    if source is not Typed:
        assert days.pop("default") == 3
    assert days == {"type": "integer", "description": "How many."}
    assert schema["properties"]["city"] == {"type": "string", "description": "Which city."}


@pytest.mark.parametrize("source", SOURCES)
async def test_numeric_strings_become_numbers_and_unknown_keys_are_no_error(source: Any):
    result = await Calls().result(tool_of(source), {"city": "Oslo", "days": "5", "other": 1})
    assert (result["city"], result["days"]) == ("Oslo", 5)


@pytest.mark.parametrize("source", DEFAULT_KNOWN)
async def test_defaults_are_filled_in(source: Any):
    assert await Calls().result(tool_of(source), {"city": "Oslo"}) == {"city": "Oslo", "days": 3}


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize(
    ("arguments", "words"),
    [({}, "city"), ({"city": 1}, "city: "), ({"city": "x", "days": "many"}, "days: "), ([1], "an object")],
)
async def test_what_does_not_fit_is_told_and_not_run(source: Any, arguments: Any, words: str):
    called: list[Any] = []
    tool = tool_of(source, called)
    answer = await Calls().answer(tool, arguments)
    assert answer.error == "invalid_arguments"
    text = msgspec.json.decode(answer.content)["error"]
    assert text.startswith(f'Invalid arguments for tool "{tool.name}": ')
    assert words in text
    assert called == []


@pytest.mark.parametrize("text", ["{broken", '{"city": NaN}', "nope", '{"city":"x"} trailing'])
async def test_what_is_no_json_is_told(text: str):
    error = (await Calls().result(tool_of(Struct), text))["error"]
    assert error == 'Invalid arguments for tool "take": not valid JSON'


@pytest.mark.parametrize("text", ["", "  ", "null", "{}"])
async def test_no_arguments_are_an_empty_object(text: str):
    @define_tool
    async def now() -> str:
        return "noon"

    assert now.parameters == {"type": "object", "properties": {}}
    assert await Calls().result(now, text) == "noon"


@pytest.mark.parametrize("kind", [Model, Struct, Data, Typed])
async def test_the_only_parameter_may_be_a_record(kind: Any):
    async def take(context: ToolContext, trip: Any) -> Any:
        assert isinstance(trip, dict if kind is Typed else kind)
        assert context.tool_name == "take"
        return trip

    take.__annotations__["trip"] = kind
    tool = define_tool(take)
    assert tool.parameters == tool_of(kind).parameters
    assert (await Calls().result(tool, {"city": "Oslo"}))["city"] == "Oslo"


async def test_a_record_beside_others_is_one_of_the_arguments():
    @define_tool
    async def book(trip: Struct, person: Model, note: str | None = None) -> Any:
        return [trip, person, note]

    assert book.parameters["properties"]["trip"]["$ref"] == "#/$defs/Struct"
    assert book.parameters["$defs"].keys() == {"Struct", "Model"}
    assert "title" not in book.parameters["$defs"]["Struct"]
    result = await Calls().result(book, {"trip": {"city": "a"}, "person": {"city": "b", "days": "1"}})
    assert result == [{"city": "a", "days": 3}, {"city": "b", "days": 1}, None]
    error = (await Calls().result(book, {"trip": {"city": 1}, "person": {"days": []}}))["error"]
    assert "trip.city: " in error
    assert "person.city: " in error
    assert "person.days: " in error


async def test_pydantic_fields_of_a_signature():
    @define_tool
    async def pick(
        count: Annotated[int, pydantic.Field(ge=1, description="How many.")],
        names: list[str] = pydantic.Field(default_factory=list, description="Which."),  # noqa: B008
        size: int = pydantic.Field(description="How large."),
    ) -> Any:
        names.append("last")
        return [count, names, size]

    properties = pick.parameters["properties"]
    assert properties["count"] == {"type": "integer", "minimum": 1, "description": "How many."}
    assert properties["names"]["description"] == "Which."
    assert pick.parameters["required"] == ["count", "size"]
    for _ in range(2):
        assert await Calls().result(pick, {"count": 1, "size": 2}) == [1, ["last"], 2]
    assert "count: " in (await Calls().result(pick, {"count": 0, "size": 2}))["error"]


async def test_types_of_the_standard_library():
    @define_tool
    async def plan(  # noqa: PLR0917
        day: datetime.date,
        unit: Literal["c", "f"],
        limits: dict[str, float],
        anything,
        whole: bool = False,
        title: str = "trip",
        note: Annotated[str, "Whatever."] | None = None,
    ) -> Any:
        assert isinstance(day, datetime.date)
        return [day, unit, limits, anything, whole, title]

    properties = plan.parameters["properties"]
    assert properties["day"] == {"type": "string", "format": "date"}
    assert properties["anything"] == {}
    assert properties["note"]["description"] == "Whatever."
    assert properties["title"] == {"type": "string", "default": "trip"}
    given = {"day": "2026-01-02", "unit": "c", "limits": {"a": "1.5"}, "anything": [1], "whole": "true"}
    assert await Calls().result(plan, given) == ["2026-01-02", "c", {"a": 1.5}, [1], True, "trip"]
    assert "unit: " in (await Calls().result(plan, given | {"unit": "k"}))["error"]


async def test_all_problems_are_told_at_once():
    error = (await Calls().result(define_tool(by_signature), {"days": "x"}))["error"]
    assert "city: missing; days: " in error


async def test_a_default_without_json_form_is_left_to_the_function():
    marker = object()

    @define_tool
    async def choose(value: Any = marker) -> bool:
        return value is marker

    assert "default" not in choose.parameters["properties"]["value"]
    assert await Calls().result(choose) is True


async def test_a_type_may_forbid_unknown_keys():
    class Closed(msgspec.Struct, forbid_unknown_fields=True):
        city: str

    tool = tool_of(Closed)
    assert tool.parameters["additionalProperties"] is False
    assert "error" in await Calls().result(tool, {"city": "x", "other": 1})


def test_a_record_may_hold_itself():
    schema = tool_of(Tree).parameters
    assert schema["type"] == "object"
    assert schema["properties"]["children"]["items"] == {"$ref": "#/$defs/Tree"}
    assert schema["$defs"]["Tree"]["properties"].keys() == {"value", "children"}


class Tree(msgspec.Struct):
    value: int
    children: "list[Tree]" = []


def test_a_record_that_is_no_object_is_refused():
    with pytest.raises(ToolDefinitionError, match="no object"):
        tool_of(pydantic.RootModel[list[int]])


async def test_the_names_of_the_wire_count():
    class Renamed(msgspec.Struct, rename="camel"):
        """A trip.

        Attributes:
            first_day: When it begins.
        """

        first_day: str

    tool = tool_of(Renamed)
    assert tool.parameters["properties"] == {"firstDay": {"type": "string", "description": "When it begins."}}
    assert await Calls().result(tool, {"firstDay": "x"}) == {"firstDay": "x"}


def test_a_given_schema_is_copied_completed_and_keeps_its_properties():
    given = {"properties": {"title": {"type": "string", "pattern": "^a"}}, "anyOf": [{"required": ["title"]}]}
    tool = define_tool(name="x", parameters=given, execute=lambda arguments: arguments)
    assert tool.parameters == {"type": "object", **given}
    assert "type" not in given


async def test_a_schema_is_checked_at_every_depth():
    schema = {
        "type": "object",
        "properties": {
            "items": {
                "type": "array",
                "items": {"type": "object", "properties": {"n": {"type": "integer", "minimum": 1}}},
            },
            "flag": {"type": ["boolean", "null"]},
            "text": {"type": ["string", "integer"]},
        },
    }
    tool = define_tool(name="x", parameters=schema, execute=lambda arguments: arguments)
    given = {"items": [{"n": "2"}, {"n": "1e3"}], "flag": "True", "text": "5"}
    assert "items[1].n: " in (await Calls().result(tool, given))["error"]
    given["items"] = [{"n": "2"}]
    assert await Calls().result(tool, given) == {"items": [{"n": 2}], "flag": True, "text": "5"}
    assert "items[0].n: " in (await Calls().result(tool, {"items": [{"n": 0}]}))["error"]


async def test_without_jsonschema_required_and_the_types_of_the_root_are_checked(
    monkeypatch: pytest.MonkeyPatch,
):
    import importlib.util

    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "jsonschema" else find(name)
    )
    tool = define_tool(name="x", parameters=SCHEMA, execute=lambda arguments: arguments)
    assert await Calls().result(tool, {"city": "a", "days": 2.0}) == {"city": "a", "days": 2.0}
    assert "city: missing" in (await Calls().result(tool, {}))["error"]
    error = (await Calls().result(tool, {"city": 1, "days": True}))["error"]
    assert "city: expected string; days: expected integer" in error


async def test_a_schema_with_a_remote_reference_fetches_nothing():
    schema = {"type": "object", "properties": {"a": {"$ref": "http://127.0.0.1:9/x.json"}}}
    tool = define_tool(name="x", parameters=schema, execute=lambda arguments: arguments)
    answer = await Calls().answer(tool, {"a": 1})
    assert answer.error is not None
    assert answer.error != "invalid_arguments"


async def test_halves_of_surrogate_pairs_are_replaced():
    assert await Calls().result(define_tool(by_signature), '{"city":"\\ud83d"}') == {
        "city": "\ufffd",
        "days": 3,
    }


async def test_a_check_of_the_developer_that_breaks_is_a_failed_call():
    class Fussy(pydantic.BaseModel):
        city: str

        @pydantic.field_validator("city")
        @classmethod
        def check(cls, _value: str) -> str:
            raise KeyError("lookup")

    assert await Calls().result(tool_of(Fussy), {"city": "x"}) == {"error": "'lookup'"}


def test_tools_without_pydantic_types_do_not_import_it():
    code = (
        "import sys\n"
        "from jumpseat.agents.builtin.tools import define_tool, state_tools\n"
        "@define_tool\n"
        "def f(a: int, b: list[str] = []) -> None: ...\n"
        "state_tools()\n"
        "print('pydantic' in sys.modules, 'jsonschema' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.split() == ["False", "False"]
