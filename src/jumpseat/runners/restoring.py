"""Requests that hold messages as a connect has shortened them: the stored messages take their places."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import msgspec

from jumpseat.protocol.codec import decode_message
from jumpseat.protocol.history import readable
from jumpseat.protocol.inputs import Message
from jumpseat.protocol.restore import is_shortened, restore_message
from jumpseat.runners.base import RunRequest
from jumpseat.runners.offloading import offload, size_of
from jumpseat.runners.view import message_digest
from jumpseat.stores.base import Store

__all__ = ["restored"]


async def restored(store: Store, request: RunRequest) -> RunRequest:
    """Return ``request`` with what its client could not know of the messages that the thread shows.

    The store is asked only about messages that look shortened, and read only if it has another version of
    one of them. Raises ``StoreUnavailable``.
    """
    messages = request.input.messages
    shortened = await offload(size_of(messages), _shortened, messages)
    if not shortened:
        return request
    located = await store.locate(request.owner, request.thread_id, list(shortened))
    changed = {
        key: message
        for key, message in shortened.items()
        if key in located.found and not _is_known(message, located.found[key].digest)
    }
    history = await store.history(request.owner, request.thread_id) if changed else None
    if history is None:
        return request
    data = {entry.key: entry.data for entry in history.entries if entry.key in changed}
    originals = await offload(sum(map(len, data.values())), _originals, changed, data)
    whole = [originals.get(message.id, message) for message in messages]
    return replace(request, input=msgspec.structs.replace(request.input, messages=whole))


def _shortened(messages: Sequence[Message]) -> dict[str, Message]:
    found: dict[str, Message] = {}
    for message in messages:
        if is_shortened(message):
            found.setdefault(message.id, message)
    return found


def _is_known(message: Message, digest: bytes) -> bool:
    return bool(digest) and message_digest(message) == digest


def _originals(shortened: dict[str, Message], data: dict[str, bytes]) -> dict[str, Message]:
    return {key: _original(shortened[key], stored) for key, stored in data.items()}


def _original(message: Message, stored: bytes) -> Message:
    """Return the stored message if its client changed nothing, else what it made of it."""
    whole = restore_message(message, stored)
    unchanged = message_digest(whole) == message_digest(decode_message(readable(stored)))
    return decode_message(stored) if unchanged else whole
