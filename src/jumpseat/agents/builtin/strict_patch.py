"""One operation of a JSON Patch, applied by the letter of RFC 6901 and RFC 6902."""

from __future__ import annotations

import re
from typing import Any, Final, TypeAlias, cast

from jumpseat.protocol.jsonpatch import PatchError, apply_patch

__all__ = ["apply_strictly", "missing_list"]

Json: TypeAlias = Any
_POINTER: Final = re.compile(r"(?:/(?:[^/~]|~[01])*)*")
# More digits than any list has members would only cost time to convert.
_INDEX: Final = re.compile(r"0|[1-9][0-9]{0,17}")
_APPEND: Final = "-"
_INSERTING: Final = frozenset({"add", "move", "copy"})


def apply_strictly(document: Json, operation: Json) -> Json:
    """Return ``document`` with one operation applied; both stay as they are.

    What the patch library of the clients tolerates beyond the RFCs is refused, so that whatever passes means
    the same to every reader.

    Raises:
        PatchError: The operation is malformed or cannot be applied.
    """
    if not isinstance(operation, dict):
        raise PatchError("an operation must be an object")
    members = cast("dict[str, Json]", operation)
    path, source = members.get("path"), members.get("from")
    if isinstance(path, str):
        base = document
        if members.get("op") in {"move", "copy"} and isinstance(source, str):
            base = _without_source(document, members["op"], source, path)
        _check_target(base, path, inserting=members.get("op") in _INSERTING)
    return apply_patch(document, [operation])


def missing_list(document: Json, operation: Json) -> list[Json]:
    """Return the operation that makes the list which ``operation`` adds to the end of.

    Empty unless nothing but the list itself is missing.
    """
    if not isinstance(operation, dict):
        return []
    members = cast("dict[str, Json]", operation)
    path = members.get("path")
    if members.get("op") != "add" or not isinstance(path, str) or not path.endswith("/-"):
        return []
    target = path[: -len("/-")]
    try:
        parent, key = _resolve(document, target) if target else (None, "")
    except PatchError:
        return []
    if isinstance(parent, dict):
        missing = key not in parent
    else:
        missing = isinstance(parent, list) and key == str(len(cast("list[Json]", parent)))
    return [{"op": "add", "path": target, "value": []}] if missing else []


def _without_source(document: Json, name: str, source: str, path: str) -> Json:
    """Return what the target of a move or a copy is looked up in."""
    _check_target(document, source, inserting=False)
    if name == "copy" or not source:
        return document
    if path.startswith(f"{source}/"):
        raise PatchError("a value cannot be moved into itself")
    return apply_patch(document, [{"op": "remove", "path": source}])


def _check_target(document: Json, pointer: str, *, inserting: bool) -> None:
    parent, key = _resolve(document, pointer)
    if not isinstance(parent, list):
        return
    length = len(cast("list[Json]", parent))
    if key == _APPEND:
        if not inserting:
            raise PatchError("there is nothing at '-'")
    elif inserting and int(key) > length:
        raise PatchError(f"index {key} is behind the end of the array")


def _resolve(document: Json, pointer: str) -> tuple[Json, str]:
    """Return what holds the value at ``pointer``, and its last key; ``(None, "")`` for the whole document."""
    if not _POINTER.fullmatch(pointer):
        raise PatchError(f"{pointer!r} is not a JSON Pointer")
    keys = [key.replace("~1", "/").replace("~0", "~") for key in pointer.split("/")[1:]]
    if not keys:
        return None, ""
    parent = document
    for key in keys[:-1]:
        parent = _member(parent, key)
    last = keys[-1]
    if isinstance(parent, list) and last != _APPEND and not _INDEX.fullmatch(last):
        raise PatchError(f"{last!r} is not an array index")
    return cast("Json", parent), last


def _member(container: Json, key: str) -> Json:
    if isinstance(container, list):
        items = cast("list[Json]", container)
        if not _INDEX.fullmatch(key):
            raise PatchError(f"{key!r} is not an array index")
        if int(key) < len(items):
            return items[int(key)]
    elif isinstance(container, dict):
        entries = cast("dict[str, Json]", container)
        if key in entries:
            return entries[key]
    raise PatchError(f"there is nothing at {key!r}")
