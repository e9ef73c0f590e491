"""The JSON form of results: always JSON, whatever a tool returns."""

import dataclasses
import datetime
import decimal
import enum
import json
import math
import sqlite3
import uuid
from collections import OrderedDict, deque
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import Any, NamedTuple

import msgspec
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jumpseat.agents.builtin.tools.results import NotSerializable, json_text, json_value


class Model(pydantic.BaseModel):
    day: datetime.date
    raw: bytes = b"\xff"


class Record(msgspec.Struct):
    a: int


@dataclasses.dataclass
class Data:
    a: Any


class Pair(NamedTuple):
    left: int
    right: int


class Colour(enum.Enum):
    RED = "red"


class Text(str):
    __slots__ = ()


class Number(float):
    __slots__ = ()


class Array:
    """Like an array of numpy."""

    dtype = "int64"

    def tolist(self) -> list[int]:
        return [1, 2]


DAY = datetime.date(2026, 1, 2)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("ü", '"ü"'),
        ('say "x"', '"say \\"x\\""'),
        (None, "null"),
        (True, "true"),
        (math.nan, "null"),
        (math.inf, "null"),
        ([-math.inf, 1.5], "[null,1.5]"),
        (decimal.Decimal("1.10"), '"1.10"'),
        (DAY, '"2026-01-02"'),
        (datetime.datetime(2026, 1, 2, 3, tzinfo=datetime.UTC), '"2026-01-02T03:00:00Z"'),
        (uuid.UUID(int=0), '"00000000-0000-0000-0000-000000000000"'),
        (Colour.RED, '"red"'),
        (b"ab", '"YWI="'),
        ({"raw": b"ab"}, '{"raw":"YWI="}'),
        (Record(a=1), '{"a":1}'),
        (Data(a=Record(a=2)), '{"a":{"a":2}}'),
        (Model(day=DAY, raw=b"ab"), '{"day":"2026-01-02","raw":"ab"}'),
        (Model(day=DAY), '{"day":"2026-01-02","raw":"/w=="}'),
        ({"m": [Model(day=DAY, raw=b"")]}, '{"m":[{"day":"2026-01-02","raw":""}]}'),
        (Pair(1, 2), "[1,2]"),
        (Text("x"), '"x"'),
        (Number(2.5), "2.5"),
        (Array(), "[1,2]"),
        (OrderedDict(b=1, a=2), '{"b":1,"a":2}'),
        (MappingProxyType({"a": 1}), '{"a":1}'),
        (deque([1]), "[1]"),
        (range(3), "[0,1,2]"),
        ({"a": 1}.values(), "[1]"),
        (frozenset({1}), "[1]"),
        ({1: "x"}, '{"1":"x"}'),
        (PurePosixPath("a/b"), '"a/b"'),
        ("half \ud83d", '"half \ufffd"'),
        (Data(a="\ud83d"), '{"a":"\ufffd"}'),
    ],
)
def test_the_json_form(value: Any, text: str):
    assert json_text(value) == text


def test_a_row_of_a_database_is_an_object():
    connection = sqlite3.connect(":memory:")
    try:
        connection.row_factory = sqlite3.Row
        row = connection.execute("SELECT 1 AS a, 'x' AS b").fetchone()
        assert json_value(row) == {"a": 1, "b": "x"}
    finally:
        connection.close()


class Broken:
    def model_dump(self, **_: Any) -> Any:
        raise KeyError("no")


@pytest.mark.parametrize("value", [object(), Broken(), {("a", 1): 2}, len, Record, [object()], 1j])
def test_what_has_no_json_form_says_so(value: Any):
    with pytest.raises(NotSerializable):
        json_text(value)


def test_what_holds_itself_has_no_json_form():
    value: list[Any] = []
    value.append(value)
    with pytest.raises(NotSerializable):
        json_text(value)


def test_a_json_value_is_new():
    value = {"a": [1]}
    copied = json_value(value)
    copied["a"].append(2)
    assert value == {"a": [1]}


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(alphabet=st.characters())
    | st.text(
        alphabet=st.characters(min_codepoint=0xD7F0, max_codepoint=0xE010, categories=["Cs", "Lo", "Co"])
    )
    | st.binary()
    | st.decimals()
    | st.dates()
    | st.datetimes()
    | st.timedeltas()
    | st.uuids()
    | st.sampled_from(Colour)
    | st.builds(Model, day=st.dates(), raw=st.binary())
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=3) | st.integers(), inner, max_size=3)
        | st.builds(Data, a=inner)
        | st.builds(deque, st.lists(inner, max_size=2))
    ),
    max_leaves=8,
)


def _refuse(constant: str) -> Any:
    raise AssertionError(f"{constant} is not JSON")


@given(VALUES)
def test_the_form_is_always_json_and_never_nan(value: Any):
    text = json_text(value)
    text.encode()
    json.loads(text, parse_constant=_refuse)
