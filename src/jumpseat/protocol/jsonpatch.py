"""JSON Patch (RFC 6902) with the tolerances of the library that AG-UI clients apply patches with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias, cast

__all__ = ["PatchError", "apply_patch"]

Json: TypeAlias = Any
_MISSING: Final = object()
_APPEND: Final = "-"


class PatchError(ValueError):
    """A patch does not fit the document; nothing of it was applied."""


def apply_patch(document: Json, operations: Sequence[Json]) -> Json:
    """Return ``document`` with all operations applied in order.

    The inputs stay as they are; what no operation touches is shared between old and new document.
    Like the clients, and unlike the RFC, array indices may have leading zeros in ``add`` and
    ``test``, and ``move`` and ``copy`` behind the end of an array append.

    Raises:
        PatchError: An operation is malformed or cannot be applied. A patch is applied whole or not
            at all.
    """
    patch = _Patch(document)
    for operation in operations:
        try:
            patch.apply(operation)
        except RecursionError as error:
            raise PatchError("the document is nested too deeply") from error
    return patch.document


class _Patch:
    """A document on its way through a patch: containers are copied before their first change."""

    __slots__ = ("_own", "document")

    def __init__(self, document: Json) -> None:
        self.document = document
        # Keyed by id, and holding the containers so that no id is used twice meanwhile.
        self._own: dict[int, Json] = {}

    def apply(self, operation: Json) -> None:
        if not isinstance(operation, dict):
            raise PatchError("an operation must be an object")
        members = cast("dict[str, Json]", operation)
        name = members.get("op")
        run = _OPERATIONS.get(name) if isinstance(name, str) else None
        if run is None:
            raise PatchError(f"unknown operation {name!r}")
        run(self, _keys(members.get("path"), "path"), members)

    def add(self, path: list[str], members: dict[str, Json]) -> None:
        self._insert(path, _value(members), bounded=True)

    def replace(self, path: list[str], members: dict[str, Json]) -> None:
        value = _value(members)
        if not path:
            self.document = value
            return
        parent = self._parent(path)
        key = _existing_key(parent, path[-1])
        parent[key] = value

    def remove(self, path: list[str], _members: dict[str, Json]) -> None:
        self._take(path)

    def move(self, path: list[str], members: dict[str, Json]) -> None:
        source = _keys(members.get("from"), "from")
        value = self._get(source)
        if not path:
            self.document = value
            return
        if not source:
            raise PatchError("the document cannot be moved into itself")
        self._parent(path)
        self._take(source)
        self._insert(path, value, bounded=False)

    def copy(self, path: list[str], members: dict[str, Json]) -> None:
        value = self._get(_keys(members.get("from"), "from"))
        if path:
            self._parent(path)
        self._insert(path, _clone(value), bounded=False)

    def test(self, path: list[str], members: dict[str, Json]) -> None:
        found = self.document
        for key in path:
            found = _child(found, key, lenient=True)
        if not _equal(found, _value(members)):
            raise PatchError("a test operation failed")

    def _get(self, path: list[str]) -> Json:
        found = self.document
        for key in path:
            found = _child(found, key)
        return found

    def _take(self, path: list[str]) -> None:
        if not path:
            self.document = None
            return
        parent = self._parent(path)
        del parent[_existing_key(parent, path[-1])]

    def _insert(self, path: list[str], value: Json, *, bounded: bool) -> None:
        if not path:
            self.document = value
            return
        parent = self._parent(path)
        if isinstance(parent, dict):
            parent[_member(path[-1])] = value
            return
        items = cast("list[Json]", parent)
        index = len(items) if path[-1] == _APPEND else _loose_index(path[-1])
        if bounded and index > len(items):
            raise PatchError(f"index {index} is behind the end of the array")
        items.insert(index, value)

    def _parent(self, path: list[str]) -> Any:
        """Return the container that holds the last key, every container down to it being ours."""
        container: Any = self._owned(self.document)
        self.document = container
        for key in path[:-1]:
            _child(container, key)
            slot: Any = int(key) if isinstance(container, list) else key
            container[slot] = container = self._owned(container[slot])
        return container

    def _owned(self, container: Json) -> Any:
        if id(container) in self._own:
            return container
        if isinstance(container, dict):
            copied: Any = cast("dict[str, Json]", container).copy()
        elif isinstance(container, (list, tuple)):
            copied = list(cast("Sequence[Json]", container))
        else:
            raise PatchError("a path leads through a value that is no object and no array")
        self._own[id(copied)] = copied
        return copied


_OPERATIONS: Final[dict[str, Callable[[_Patch, list[str], dict[str, Json]], None]]] = {
    "add": _Patch.add,
    "remove": _Patch.remove,
    "replace": _Patch.replace,
    "move": _Patch.move,
    "copy": _Patch.copy,
    "test": _Patch.test,
}


def _keys(pointer: object, member: str) -> list[str]:
    if not isinstance(pointer, str) or (pointer and pointer[0] != "/"):
        raise PatchError(f"'{member}' must be a JSON Pointer")
    keys = pointer.split("/")[1:]
    if "~" in pointer:
        keys = [key.replace("~1", "/").replace("~0", "~") for key in keys]
    return keys


def _value(members: dict[str, Json]) -> Json:
    value = members.get("value", _MISSING)
    if value is _MISSING:
        raise PatchError(f"{members['op']!r} needs a 'value'")
    return value


def _child(container: Json, key: str, *, lenient: bool = False) -> Json:
    if isinstance(container, dict):
        members = cast("dict[str, Json]", container)
        if _member(key) in members:
            return members[key]
    elif isinstance(container, (list, tuple)):
        items = cast("Sequence[Json]", container)
        index = _loose_index(key) if lenient else _exact_index(key)
        if 0 <= index < len(items):
            return items[index]
    raise PatchError(f"there is nothing at {key!r}")


def _existing_key(parent: Json, key: str) -> str | int:
    _child(parent, key)
    return int(key) if isinstance(parent, list) else key


def _member(key: str) -> str:
    # The clients refuse the whole patch, so the key must not appear here either.
    if key == "__proto__":
        raise PatchError("'__proto__' cannot be patched")
    return key


def _exact_index(key: str) -> int:
    return int(key) if key.isascii() and key.isdigit() and (key == "0" or key[0] != "0") else -1


def _loose_index(key: str) -> int:
    if not key:
        return 0
    if not (key.isascii() and key.isdigit()):
        raise PatchError(f"{key!r} is no array index")
    return int(key[:18])


def _clone(value: Json) -> Json:
    if isinstance(value, dict):
        return {key: _clone(entry) for key, entry in cast("dict[str, Json]", value).items()}
    if isinstance(value, (list, tuple)):
        return [_clone(entry) for entry in cast("Sequence[Json]", value)]
    return value


def _equal(left: Json, right: Json) -> bool:
    """Compare as JSON: numbers by value, but true is not 1."""
    if isinstance(left, dict):
        if not isinstance(right, dict):
            return False
        one, other = cast("dict[str, Json]", left), cast("dict[str, Json]", right)
        return one.keys() == other.keys() and all(_equal(entry, other[key]) for key, entry in one.items())
    if isinstance(left, (list, tuple)):
        if not isinstance(right, (list, tuple)):
            return False
        ones, others = cast("Sequence[Json]", left), cast("Sequence[Json]", right)
        return len(ones) == len(others) and all(map(_equal, ones, others))
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    return left == right
