"""Connections to providers: one per provider, key, address and event loop, shared by all agents."""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, Final
from weakref import WeakKeyDictionary, WeakSet

from jumpseat.agents.builtin.models.library import Upstream, make_upstream
from jumpseat.agents.builtin.models.providers import Provider
from jumpseat.agents.builtin.models.rehearsal import rehearse

__all__ = ["MAX_CLIENTS", "Client", "borrow_client", "release_clients"]

MAX_CLIENTS: Final = 64
_MAX_MODELS: Final = 32

_Key = tuple[str, str, str]


class Client:
    """A provider's connections, which are closed once nobody wants them and nothing uses them."""

    def __init__(self, upstream: Upstream) -> None:
        self.owners: WeakSet[Any] = WeakSet()
        self._upstream = upstream
        self._models: OrderedDict[tuple[str, str], Any] = OrderedDict()
        self._uses = 0
        self._is_retired = False
        self._is_closed = False

    @property
    def is_usable(self) -> bool:
        """Whether new requests may use it."""
        return not self._is_retired

    async def model(self, name: str, api: str) -> Any:
        """Return pydantic-ai's model of this name behind this interface."""
        key = (api, name)
        model = self._models.get(key)
        if model is None:
            model = self._models[key] = await asyncio.to_thread(self._upstream.model, name, api)
            while len(self._models) > _MAX_MODELS:
                self._models.popitem(last=False)
        self._models.move_to_end(key)
        return model

    @asynccontextmanager
    async def in_use(self) -> AsyncGenerator[None]:
        """Keep it open inside of the block."""
        self._uses += 1
        try:
            yield
        finally:
            self._uses -= 1
            await self._close_if_idle()

    async def retire(self) -> None:
        """Close it as soon as nothing uses it."""
        self._is_retired = True
        await self._close_if_idle()

    async def _close_if_idle(self) -> None:
        if self._is_retired and self._uses == 0 and not self._is_closed:
            self._is_closed = True
            await self._upstream.aclose()


_clients: WeakKeyDictionary[asyncio.AbstractEventLoop, OrderedDict[_Key, Client]] = WeakKeyDictionary()


async def borrow_client(provider: Provider, api_key: str | None, owner: object) -> Client:
    """Return the running loop's client of ``provider`` for this key, made at first need.

    ``owner`` keeps it open until ``release_clients`` is called for it, or it is gone and room is needed.
    """
    base_url = provider.base_url()
    key = (provider.name, _fingerprint(api_key), base_url or "")
    known = _clients.setdefault(asyncio.get_running_loop(), OrderedDict())
    client = known.get(key)
    if client is None:
        # Importing the library and reading the certificates takes a while.
        made = Client(await asyncio.to_thread(_connect, provider, api_key, base_url))
        client = known.setdefault(key, made)
        if client is not made:
            await made.retire()
    known.move_to_end(key)
    client.owners.add(owner)
    while len(known) > MAX_CLIENTS:
        _, oldest = known.popitem(last=False)
        await oldest.retire()
    return client


async def release_clients(owner: object) -> None:
    """Close the running loop's clients that nobody but ``owner`` wants, each once nothing uses it."""
    known = _clients.get(asyncio.get_running_loop())
    if known is None:
        return
    unwanted = [
        (key, client) for key, client in known.items() if owner in client.owners and len(client.owners) == 1
    ]
    for client in known.values():
        client.owners.discard(owner)
    for key, client in unwanted:
        known.pop(key, None)
        await client.retire()


def _connect(provider: Provider, api_key: str | None, base_url: str | None) -> Upstream:
    rehearse(provider)
    return make_upstream(provider, api_key, base_url)


def _fingerprint(api_key: str | None) -> str:
    return hashlib.sha256(api_key.encode()).hexdigest() if api_key else ""
