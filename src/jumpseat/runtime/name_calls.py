"""Asking the developer's function for the name of a thread, once the thread's first run is over."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, Literal, TypeAlias

from jumpseat.calling import CallForm, call_form, call_user_in, is_failure
from jumpseat.daemon_threads import DaemonThreads
from jumpseat.errors import ConfigurationError, RunnerClosed, StoreUnavailable, ThreadNotFound
from jumpseat.runners.base import AgentRunner
from jumpseat.runtime.background import BackgroundCalls
from jumpseat.runtime.thread_names import one_line_name
from jumpseat.stores.base import ThreadChange, ThreadRecord
from jumpseat.threads import Threads

__all__ = ["NameCalls", "ThreadNames", "naming_form"]

NameFunction: TypeAlias = Callable[[list[dict[str, Any]]], Awaitable[str | None] | str | None]
ThreadNames: TypeAlias = Literal["first_message"] | NameFunction | None

SECONDS: Final = 30.0
MOST_PENDING: Final = 1000
# Runs that begin and end meanwhile need the store's connections more than names do.
AT_THE_STORE: Final = 2

_logger = logging.getLogger("jumpseat.threads")
# Of their own: a function that never returns must not take a thread that runs need.
_threads: Final = DaemonThreads("name", 8)


def naming_form(option: object) -> CallForm | None:
    """Return how a ``thread_names`` function wants to be called, ``None`` for the ways that need none.

    Raises ``ConfigurationError`` for anything else.
    """
    if option is None or option == "first_message":
        return None
    if not callable(option):
        raise ConfigurationError(
            "thread_names must be 'first_message', None, or a function of (messages) that returns a name"
        )
    return call_form(option, option="thread_names", names=("messages",), positional=(("messages",),))


class NameCalls:
    """The calls of one runtime's ``thread_names`` function: in the background, and bounded in number.

    A call gets 30 s. What it returns becomes the thread's name unless a user set one by then. One that
    raises, takes longer or returns no name is logged, and leaves the name as it is.
    """

    def __init__(self, form: CallForm, threads: Threads) -> None:
        self._form = form
        self._of = threads
        self._calls = BackgroundCalls("thread_names", MOST_PENDING)
        self._store_use = asyncio.Semaphore(AT_THE_STORE)
        self._closed = False
        self._unfollow: Callable[[], None] | None = None

    def follow(self, runner: AgentRunner) -> None:
        """Name also the threads whose first run ``runner`` seals for a process that is gone. Idempotent."""
        if self._unfollow is None:
            self._unfollow = runner.on_recovery(self.ask)

    def ask(self, owner: str | None, thread_id: str) -> None:
        """Have a thread named, soon."""
        if not self._closed:
            self._calls.submit(lambda: self._name(owner, thread_id))

    async def aclose(self) -> None:
        """End the calls that are under way, and make no more."""
        self._closed = True
        if self._unfollow is not None:
            self._unfollow()
        await self._calls.finish(0.0)

    async def _name(self, owner: str | None, thread_id: str) -> None:
        try:
            async with self._store_use:
                record = await self._of.get(thread_id, owner=owner)
                messages = await self._of.messages(thread_id, owner=owner)
            if record is None or messages is None or record.renamed:
                return
            name = _name_in(await self._answer(messages), thread_id)
            if name is not None:
                async with self._store_use:
                    await self._give(name, record)
        except (ThreadNotFound, RunnerClosed) as error:
            _logger.debug("thread %r keeps its name: %s", thread_id, error)
        except StoreUnavailable as error:
            _logger.warning("thread_names: thread %r keeps its name: %s", thread_id, error)

    async def _give(self, name: str, asked_about: ThreadRecord) -> None:
        thread_id, owner = asked_about.id, asked_about.owner
        now = await self._of.get(thread_id, owner=owner)
        # A thread that was deleted meanwhile may exist again, with other messages.
        if now is not None and now.created_at == asked_about.created_at:
            change = ThreadChange(set_name=True, name=name, automatic=True)
            await self._of.update(thread_id, change, owner=owner)

    async def _answer(self, messages: Sequence[dict[str, Any]]) -> object:
        """Return what the function says, ``None`` where it fails."""
        args, kwargs = self._form.arguments({"messages": messages})
        limit = asyncio.timeout(SECONDS)
        try:
            async with limit:
                return await call_user_in(_threads.run, self._form.function, *args, **kwargs)
        except BaseException as error:
            if not is_failure(error):
                raise
            if limit.expired():
                _logger.warning("thread_names took longer than %g s: the thread keeps its name", SECONDS)
            else:
                _logger.exception("thread_names failed: the thread keeps its name")
            return None


def _name_in(answer: object, thread_id: str) -> str | None:
    if not isinstance(answer, str | None):
        kind = type(answer).__name__
        _logger.warning("thread_names returned %s, not a str: thread %r keeps its name", kind, thread_id)
        return None
    return one_line_name(answer or "")
