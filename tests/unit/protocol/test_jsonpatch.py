"""A patch gives what a client's patch library gives, and never touches its inputs."""

import contextlib
import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from event_streams import JSON, OBJECTS, OPERATIONS, PATCHES
from jumpseat.protocol.jsonpatch import PatchError, apply_patch


def op(name: str, path: str, **members: object) -> dict[str, object]:
    return {"op": name, "path": path, **members}


@given(JSON, PATCHES)
def test_a_patch_applies_whole_or_not_at_all_and_leaves_its_inputs_alone(document, operations):
    before = copy.deepcopy((document, operations))
    with contextlib.suppress(PatchError):
        apply_patch(document, operations)
    assert (document, operations) == before


@given(JSON, PATCHES, PATCHES)
def test_two_patches_in_a_row_are_one(document, first, second):
    try:
        expected = apply_patch(apply_patch(document, first), second)
    except PatchError:
        with pytest.raises(PatchError):
            apply_patch(document, [*first, *second])
    else:
        assert apply_patch(document, [*first, *second]) == expected


@given(OBJECTS, st.sampled_from("abc"), JSON)
def test_what_was_added_is_found_and_can_be_removed_again(document, key, value):
    without = {name: entry for name, entry in document.items() if name != key}
    added = apply_patch(without, [op("add", f"/{key}", value=value), op("test", f"/{key}", value=value)])
    assert added == {**without, key: value}
    assert apply_patch(added, [op("remove", f"/{key}")]) == without


@given(JSON, OPERATIONS)
def test_unchanged_parts_are_shared_so_a_patch_costs_what_it_changes(document, operation):
    wrapped = {"untouched": document, "patched": copy.deepcopy(document)}
    moved = {**operation, "path": "/patched" + operation["path"]}
    if "from" in moved:
        moved["from"] = "/patched" + moved["from"]
    try:
        assert apply_patch(wrapped, [moved])["untouched"] is document
    except PatchError:
        assert wrapped["untouched"] is document


@pytest.mark.parametrize(
    ("document", "operations", "result"),
    [
        ({}, [op("add", "/a", value=1)], {"a": 1}),
        ({"a": 1}, [op("add", "/a", value=None)], {"a": None}),
        ([1, 2], [op("add", "/1", value=9)], [1, 9, 2]),
        ([1, 2], [op("add", "/2", value=9)], [1, 2, 9]),
        ([1, 2], [op("add", "/-", value=9)], [1, 2, 9]),
        ([1, 2], [op("remove", "/0")], [2]),
        ([1, 2], [op("replace", "/1", value=9)], [1, 9]),
        ({"a": {"b": 1}}, [op("move", "/c", **{"from": "/a/b"})], {"a": {}, "c": 1}),
        ([1, 2, 3], [op("move", "/2", **{"from": "/0"})], [2, 3, 1]),
        ({"a": {"b": 1}}, [op("copy", "/c", **{"from": "/a"})], {"a": {"b": 1}, "c": {"b": 1}}),
        (
            {"a": {}},
            [op("add", "/a/x", value=1), op("copy", "/b", **{"from": "/a"}), op("add", "/b/y", value=2)],
            {"a": {"x": 1}, "b": {"x": 1, "y": 2}},
        ),
        ({"a": 1}, [op("replace", "", value=[1])], [1]),
        ({"a": 1}, [op("remove", "")], None),
        ({"a/b": 1, "m~n": 2}, [op("remove", "/a~1b"), op("replace", "/m~0n", value=3)], {"m~n": 3}),
        ({"": 1}, [op("replace", "/", value=2)], {"": 2}),
        ({"a": [1.0]}, [op("test", "/a", value=[1])], {"a": [1.0]}),
        ({"-": 1}, [op("remove", "/-")], {}),
    ],
)
def test_an_operation_does_what_the_rfc_says(document, operations, result):
    assert apply_patch(document, operations) == result


@pytest.mark.parametrize(
    ("document", "operation"),
    [
        ({}, op("remove", "/a")),
        ({}, op("replace", "/a", value=1)),
        ({}, op("add", "/a/b", value=1)),
        ({"a": 1}, op("add", "/a/b", value=1)),
        ([1], op("add", "/2", value=1)),
        ([1], op("remove", "/1")),
        ([1], op("remove", "/-")),
        ([1], op("replace", "/00", value=1)),
        ([1], op("add", "/x", value=1)),
        ([1], op("add", "/-1", value=1)),
        ({"a": 1}, op("test", "/a", value=True)),
        ({"a": 1}, op("test", "/b", value=1)),
        ({"a": 1}, op("move", "/b", **{"from": "/x"})),
        ({"a": {}}, op("move", "/a/b", **{"from": "/a"})),
        ({"a": {}}, op("move", "/a", **{"from": ""})),
        ({"a": 1}, op("copy", "/b", **{"from": "/x"})),
        ({}, op("add", "/__proto__", value=1)),
        (None, op("add", "/a", value=1)),
        ("text", op("add", "/a", value=1)),
        ({}, op("add", "/a")),
        ({}, op("move", "/a")),
        ({}, op("add", "a", value=1)),
        ({}, {"op": "add", "value": 1}),
        ({}, op("nothing", "/a")),
        ({}, {"path": "/a"}),
        ({}, "add"),
    ],
)
def test_an_operation_that_does_not_fit_is_refused(document, operation):
    with pytest.raises(PatchError):
        apply_patch(document, [operation])


def test_a_failing_operation_takes_the_ones_before_it_back():
    document = {"a": 1}
    with pytest.raises(PatchError):
        apply_patch(document, [op("add", "/b", value=2), op("remove", "/x")])
    assert document == {"a": 1}


def test_a_document_nested_too_deeply_is_refused_like_any_other_that_does_not_fit():
    deep: object = 1
    for _ in range(5_000):
        deep = [deep]
    with pytest.raises(PatchError):
        apply_patch({"a": deep}, [op("copy", "/b", **{"from": "/a"})])
