"""What a type annotation is: its own words, its fields, and whether pydantic has to deal with it."""

from __future__ import annotations

import dataclasses
import importlib.util
import types
import typing
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final, NotRequired, Required, Union, cast, get_args, get_origin

import msgspec

from jumpseat.agents.builtin.tools.docstrings import parameter_texts

__all__ = [
    "bare",
    "description_of",
    "field_texts",
    "involves_dataclass",
    "involves_pydantic",
    "is_pydantic",
    "is_record",
]

_MARKS: Final = ("__get_pydantic_core_schema__", "__pydantic_core_schema__")


def bare(hint: Any) -> Any:
    """Return a hint without its ``Annotated``."""
    while get_origin(hint) is Annotated:
        hint = get_args(hint)[0]
    return hint


def is_record(hint: Any) -> bool:
    """Say whether a hint is a class whose fields make up an object."""
    kind: Any = get_origin(hint) or hint
    if not isinstance(kind, type):
        return False
    known: type[Any] = kind
    if issubclass(known, msgspec.Struct):
        return not known.__struct_config__.array_like
    return dataclasses.is_dataclass(known) or _is_typed_dict(known) or _is_model(known)


def is_pydantic(hint: object) -> bool:
    """Say whether an object comes from pydantic or asks for it, without importing it."""
    kind = hint if isinstance(hint, type) else type(hint)
    return _root(kind.__module__) == "pydantic" or (
        any(_root(base.__module__) == "pydantic" for base in kind.__mro__)
        or any(hasattr(kind, mark) for mark in _MARKS)
    )


def involves_pydantic(hint: Any) -> bool:
    """Say whether a hint holds anything of pydantic's, at any depth."""
    return any(
        is_pydantic(part) if isinstance(part, type) else _needs_pydantic(part) for part in _parts(hint)
    )


def involves_dataclass(hint: Any) -> bool:
    """Say whether a hint holds a dataclass, at any depth."""
    return any(isinstance(part, type) and dataclasses.is_dataclass(part) for part in _parts(hint))


def description_of(hint: Any) -> str:
    """Return the text in ``Annotated[T, "text"]``; the descriptions of libraries are in their schemas."""
    while get_origin(hint) in (Required, NotRequired):
        hint = get_args(hint)[0]
    if get_origin(hint) in (Union, types.UnionType):
        return next((text for part in get_args(hint) if (text := description_of(part))), "")
    if get_origin(hint) is not Annotated:
        return ""
    return next((note for note in get_args(hint)[1:] if isinstance(note, str)), "")


def field_texts(kind: Any) -> Mapping[str, str]:
    """Return what a record says of its fields, by their names on the wire."""
    kind = get_origin(kind) or kind
    texts = dict(parameter_texts(kind.__doc__))
    texts.update({name: text for name, hint in _field_hints(kind).items() if (text := description_of(hint))})
    if issubclass(kind, msgspec.Struct):
        for field in msgspec.structs.fields(kind):
            if field.name in texts:
                texts[field.encode_name] = texts[field.name]
    return texts


def _parts(hint: Any) -> Iterator[Any]:
    """Yield the classes in a hint, in the fields of these classes too, and the notes of its ``Annotated``."""
    # Held by what they are found by, so that no id is used twice meanwhile.
    seen: dict[int, Any] = {}
    waiting: list[Any] = [hint]
    while waiting:
        part = waiting.pop()
        if id(part) in seen or part is None:
            continue
        seen[id(part)] = part
        if get_origin(part) is Annotated:
            inner, *notes = get_args(part)
            yield from notes
            waiting.append(inner)
            continue
        if isinstance(part, type):
            yield part
            waiting += _field_hints(part).values()
        waiting += (*get_args(part), get_origin(part))
        waiting += (getattr(part, name, None) for name in ("__value__", "__supertype__"))


def _needs_pydantic(note: object) -> bool:
    if _root(type(note).__module__) == "annotated_types":
        return importlib.util.find_spec("pydantic") is not None
    return not isinstance(note, str) and is_pydantic(note)


def _is_model(kind: Any) -> bool:
    return is_pydantic(kind) and callable(getattr(kind, "model_json_schema", None))


def _is_typed_dict(kind: Any) -> bool:
    # Also those of typing_extensions, which typing does not know on every version of Python.
    return hasattr(cast("object", kind), "__required_keys__") and issubclass(kind, dict)


def _field_hints(kind: Any) -> dict[str, Any]:
    if not (is_record(kind) or hasattr(kind, "_fields")):
        return {}
    try:
        return typing.get_type_hints(kind, include_extras=True)
    except (NameError, TypeError):
        # The library that makes the schema says what is wrong with them.
        return cast("dict[str, Any]", {})


def _root(module: str) -> str:
    return module.partition(".")[0]
