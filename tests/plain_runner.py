"""A runner from scratch, as somebody might write one: the four methods, and no store and no cursors."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

from jumpseat.errors import ThreadAlreadyRunning
from jumpseat.protocol.chunks import ChunkExpander
from jumpseat.protocol.codec import accept, encode
from jumpseat.protocol.endings import agent_terminal, raised, returned, stopped
from jumpseat.protocol.events import MessagesSnapshot, RunFinished, RunStarted
from jumpseat.protocol.ledger import Ledger
from jumpseat.protocol.reduce import Reducer
from jumpseat.runners.base import AgentRunner


def ignore(_text):
    """Take a warning that nobody needs here."""


class PlainRun:
    """One run: its agent's task, its log, and whoever reads that."""

    def __init__(self, request) -> None:
        given = request.input
        self.request = request
        self.ids = {"thread_id": given.thread_id, "run_id": given.run_id}
        self.reducer = Reducer(given.messages, None, warn=ignore)
        self.over = self.stopping = False
        self._log = [encode(RunStarted(**self.ids))]
        self._grown = asyncio.Event()
        self._ledger = Ledger(*self.ids.values(), warn=ignore)
        self._work = asyncio.create_task(self._follow())
        self._ended = asyncio.create_task(self._end())

    async def stop(self) -> None:
        self.stopping = True
        self._work.cancel()
        await self._ended

    async def read(self):
        position = 0
        while True:
            grown = self._grown
            for data in self._log[position:]:
                yield data
                position += 1
            if self.over and position == len(self._log):
                return
            if grown is self._grown:
                await grown.wait()

    async def _follow(self):
        chunks = ChunkExpander()
        async with aclosing(self.request.agent(self.request.input, self.request.context)) as items:
            async for item in items:
                self._take(chunks.expand(accept(item)))
        self._take(chunks.flush())
        terminal = self._ledger.terminal
        return returned() if terminal is None else agent_terminal(terminal)

    async def _end(self) -> None:
        await asyncio.wait((self._work,))
        if self.stopping or self._work.cancelled():
            ending = stopped()
        elif error := self._work.exception():
            ending = raised(self.request.options.error_text(error))
        else:
            ending = self._work.result()
        self.over = True
        self._add(self._ledger.close(ending))

    def _take(self, events) -> None:
        for event in events:
            self._add(self._ledger.accept(event))

    def _add(self, events) -> None:
        for event in events:
            self.reducer.apply(event)
            self._log.append(encode(event))
        self._grown.set()
        self._grown = asyncio.Event()


class PlainRunner(AgentRunner):
    """Keeps the newest run of each thread in memory."""

    def __init__(self) -> None:
        self._newest: dict[str, PlainRun] = {}

    async def run(self, request):
        before = self._live(request.thread_id)
        if before is not None:
            raise ThreadAlreadyRunning(request.thread_id, before.ids["run_id"])
        run = self._newest[request.thread_id] = PlainRun(request)
        return run.read()

    async def connect(self, request):
        return self._shown(self._newest.get(request.thread_id))

    async def is_running(self, request):
        return self._live(request.thread_id) is not None

    async def stop(self, request):
        run = self._live(request.thread_id)
        if run is None or run.stopping or request.run_id not in {None, run.ids["run_id"]}:
            return False if request.thread_id in self._newest else None
        await run.stop()
        return True

    async def aclose(self, *, grace=0.0):
        for run in self._newest.values():
            if not run.over:
                await run.stop()

    def _live(self, thread_id) -> PlainRun | None:
        run = self._newest.get(thread_id)
        return None if run is None or run.over else run

    async def _shown(self, run):
        if run is None:
            return
        live = not run.over
        messages = run.request.input.messages if live else run.reducer.messages
        yield RunStarted(**run.ids)
        yield MessagesSnapshot(messages=list(messages))
        yield RunFinished(**run.ids)
        if live:
            async with aclosing(run.read()) as rest:
                async for data in rest:
                    yield data
