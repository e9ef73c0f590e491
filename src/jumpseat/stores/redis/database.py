"""Running scripts in Redis: by digest, over a bounded pool, with a limit on every wait."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any, NamedTuple, TypeAlias

import msgspec

from jumpseat.errors import StoreUnavailable
from jumpseat.stores.redis.clients import Clients, Subscriber, errors
from jumpseat.stores.redis.keys import Keys
from jumpseat.stores.redis.opening import check_server, migrate
from jumpseat.stores.redis.packing import packed
from jumpseat.stores.redis.replication import WAITED_FOR, Replication
from jumpseat.stores.redis.scripts import SCRIPTS, Script
from jumpseat.stores.turns import LONGEST_SECONDS, Turns

__all__ = ["Call", "Database", "Reply"]

Reply: TypeAlias = Any

_unpack = msgspec.msgpack.Decoder(list[list[Any]]).decode

# With repetitions.
CALL_SECONDS = 12.0
# How long a free connection is waited for while the server answers nobody.
POOL_SECONDS = 10.0
PIPELINE = 64
# How many calls a script does in one go: nobody else is served meanwhile.
TOGETHER = 32
# What live runs depend on does not wait behind what a burst of starts and ends asks for.
URGENT = frozenset({"append", "append_group", "extend", "extend_group"})


class Call(NamedTuple):
    """A script to be run on the slot of ``key``; ``values`` are sent as they are, behind ``args``."""

    script: str
    key: str
    args: dict[str, Any]
    values: Sequence[bytes] = ()

    @property
    def arguments(self) -> list[bytes]:
        """What the script finds in ``ARGV``."""
        return [packed(self.args), *self.values]


class Database:
    """Runs scripts. Each may be repeated: the answer of a first try that got lost is given again.

    ``wait_replicas`` and ``wait_replicas_timeout`` as in ``Replication``; with 0 nothing is waited for.
    Raises ``ConfigurationError`` for a wrong URL and ``MissingDependencyError`` without the redis package.
    """

    def __init__(
        self,
        url: str,
        keys: Keys,
        max_connections: int,
        wait_replicas: int = 0,
        wait_replicas_timeout: float = 1.0,
    ) -> None:
        self._clients = Clients(url, max_connections)
        self.where = self._clients.where
        self.failures = self._clients.failures
        self._keys = keys
        self._client: Any = None
        self._cluster = False
        self._size = max_connections
        self._turns = Turns(max_connections, patience=POOL_SECONDS)
        self._calls: set[asyncio.Task[Any]] = set()
        self._replication: Replication | None = None
        if wait_replicas:
            self._replication = Replication(wait_replicas, wait_replicas_timeout, self.where)

    async def open(self) -> None:
        """Connect, check the server and bring the schema up to date. Raises ``StoreUnavailable``."""
        single = self._clients.primary()
        try:
            async with asyncio.timeout(CALL_SECONDS):
                info: dict[str, Any] = await single.info()
                check_server(info, self.where)
                self._cluster = bool(info.get("cluster_enabled"))
                if self._cluster:
                    await single.aclose()
                    self._client = cluster = self._clients.cluster()
                    await cluster.initialize()
                else:
                    self._client = single
                await migrate(self._client, self._keys, self.where)
        except BaseException as error:
            client, self._client = self._client or single, None
            await client.aclose()
            await self._clients.aclose()
            if isinstance(error, self.failures):
                raise self._unavailable(error) from error
            raise

    async def aclose(self) -> None:
        """Release every connection; verbs raise ``StoreUnavailable`` from now on."""
        client, self._client = self._client, None
        if client is not None:
            # A call whose connection was closed under it would open another one.
            if self._calls:
                await asyncio.wait(self._calls, timeout=CALL_SECONDS)
            await client.aclose()
            await self._clients.aclose()

    async def call(self, script: str, key: str, /, **args: Any) -> Reply:
        """Run one script. Raises ``StoreUnavailable``; then it may or may not have happened."""
        return await self.run(Call(script, key, args))

    async def run(self, call: Call) -> Reply:
        """Run one script, as ``call`` does."""
        return await self._guarded(self._call, call, urgent=call.script in URGENT)

    async def many(self, calls: Sequence[Call]) -> list[Reply | StoreUnavailable]:
        """Run scripts in any order, on one server in one round trip; each fails by itself."""
        if len(calls) == 1 or self._cluster:
            results = await asyncio.gather(*(self.run(call) for call in calls), return_exceptions=True)
            for result in results:
                if isinstance(result, BaseException) and not isinstance(result, StoreUnavailable):
                    raise result
            return results
        replies: list[Reply | StoreUnavailable] = []
        for start in range(0, len(calls), PIPELINE):
            some = calls[start : start + PIPELINE]
            try:
                replies += await self._guarded(self._pipe, some)
            except StoreUnavailable as error:
                replies += [error] * len(some)
        return replies

    async def together(self, script: str, calls: Sequence[Call]) -> list[Reply | StoreUnavailable]:
        """Do with ``script`` what ``calls`` would do one by one; on one server in one round trip.

        ``script`` is run on the keys of several calls; its arguments are those of each call behind their
        number, and it answers with a packed list of what each of them would answer: a word and numbers.
        """
        if len(calls) == 1 or self._cluster:
            return await self.many(calls)
        groups = [calls[start : start + TOGETHER] for start in range(0, len(calls), TOGETHER)]
        try:
            work = partial(self._run_groups, SCRIPTS[script])
            return await self._guarded(work, groups, urgent=script in URGENT)
        except StoreUnavailable as error:
            return [error] * len(calls)

    def subscriber(self) -> Subscriber:
        """Return a subscription with one connection of its own, to any node."""
        return self._clients.subscriber(self._open_client() if self._cluster else None)

    async def _guarded(
        self, work: Callable[[Any], Coroutine[Any, Any, Any]], argument: Any, *, urgent: bool = False
    ) -> Any:
        self._open_client()
        try:
            await self._turns.take(urgent=urgent)
        except TimeoutError:
            raise self._unavailable(
                TimeoutError(
                    f"all {self._size} connections were in use for {LONGEST_SECONDS:g} s, "
                    f"or for {POOL_SECONDS:g} s without an answer"
                )
            ) from None
        # In a task of its own: the client may swallow a cancellation, and a connection with half an answer in
        # it is of no use to the next call.
        task = asyncio.create_task(work(argument))
        self._calls.add(task)
        task.add_done_callback(self._ended)
        await asyncio.wait((task,), timeout=CALL_SECONDS)
        if not task.done():
            task.cancel()
            raise self._unavailable(TimeoutError(f"no answer within {CALL_SECONDS:g} s"))
        try:
            return task.result()
        except self.failures as error:
            raise self._unavailable(error) from error

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._calls.discard(task)
        # Seen, also when nobody waits for it any more.
        if not task.cancelled() and task.exception() is None:
            self._turns.answered()
        self._turns.give_back()

    async def _call(self, call: Call) -> Reply:
        script = SCRIPTS[call.script]
        arguments = call.arguments
        try:
            return await self._execute(call, "EVALSHA", script.sha, 1, call.key, *arguments)
        except errors.NoScriptError:
            return await self._execute(call, "EVAL", script.source, 1, call.key, *arguments)

    async def _execute(self, call: Call, *words: Any) -> Reply:
        client = self._open_client()
        if self._replication is None or call.script not in WAITED_FOR:
            return await client.execute_command(*words)
        key = call.key if self._cluster else None
        try:
            return await self._replication.execute(client, words, key)
        except errors.ReadOnlyError:
            # A command by itself leaves a server that was demoted, a group of commands stays.
            await client.execute_command(*words)
            return await self._replication.execute(client, words, key)

    async def _pipe(self, calls: Sequence[Call]) -> list[Reply | StoreUnavailable]:
        async with self._open_client().pipeline(transaction=False) as pipe:
            for call in calls:
                pipe.execute_command("EVALSHA", SCRIPTS[call.script].sha, 1, call.key, *call.arguments)
            replies: list[Any] = await pipe.execute(raise_on_error=False)
        for index, reply in enumerate(replies):
            if isinstance(reply, Exception):
                replies[index] = await self._again(calls[index], reply)
        return replies

    async def _run_groups(
        self, script: Script, groups: Sequence[Sequence[Call]]
    ) -> list[Reply | StoreUnavailable]:
        words = [_words(group) for group in groups]
        async with self._open_client().pipeline(transaction=False) as pipe:
            for some in words:
                pipe.execute_command("EVALSHA", script.sha, *some)
            told: list[Any] = await pipe.execute(raise_on_error=False)
        replies: list[Reply | StoreUnavailable] = []
        for group, some, answer in zip(groups, words, told, strict=True):
            if isinstance(answer, errors.NoScriptError):
                replies += await self._teach(script, some, group)
            elif isinstance(answer, Exception):
                # One that is refused takes the rest of its group with it.
                replies += await self._pipe(group)
            else:
                replies += _answers(answer)
        return replies

    async def _teach(
        self, script: Script, words: Sequence[Any], group: Sequence[Call]
    ) -> list[Reply | StoreUnavailable]:
        """Send a script whole, because the server forgot it."""
        try:
            return _answers(await self._open_client().execute_command("EVAL", script.source, *words))
        except self.failures:
            return await self._pipe(group)

    async def _again(self, call: Call, error: Exception) -> Reply | StoreUnavailable:
        """Repeat by itself what the server forgot, or what one that was demoted refuses."""
        try:
            if isinstance(error, errors.NoScriptError | errors.ReadOnlyError):
                return await self._call(call)
        except self.failures as failure:
            return self._unavailable(failure)
        return self._unavailable(error)

    def _open_client(self) -> Any:
        if self._client is None:
            raise StoreUnavailable(f"{self.where}: the store is not open: await its open() first")
        return self._client

    def _unavailable(self, error: BaseException) -> StoreUnavailable:
        return StoreUnavailable(f"{self.where}: {str(error) or type(error).__name__}")


def _words(group: Sequence[Call]) -> list[Any]:
    """Return the keys of some calls behind their number, and the arguments of each behind theirs."""
    words: list[Any] = [len(group), *(call.key for call in group)]
    for call in group:
        arguments = call.arguments
        words.append(len(arguments))
        words += arguments
    return words


def _answers(packed_list: bytes) -> list[Reply]:
    return [[word.encode(), *rest] for word, *rest in _unpack(packed_list)]
