"""A runner from scratch, as somebody might write one: the four methods, and no store and no cursors."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

from jumpseat.errors import ThreadAlreadyRunning
from jumpseat.protocol.codec import decode
from jumpseat.protocol.events import MessagesSnapshot, RunError, RunFinished, RunStarted
from jumpseat.protocol.reduce import Reducer
from jumpseat.runners.base import AgentRunner
from jumpseat.runners.producing import produce


def ignore(_text):
    """Take a warning that nobody needs here."""


class PlainRun:
    """One run: what it has said so far, and whoever reads that."""

    def __init__(self, request) -> None:
        given = request.input
        self.request = request
        self.ids = {"thread_id": given.thread_id, "run_id": given.run_id}
        self.reducer = Reducer(given.messages, None, warn=ignore)
        self.over = self.stopping = False
        self._log = []
        self._grown = asyncio.Event()
        self._work = asyncio.create_task(self._follow())

    async def stop(self) -> None:
        self.stopping = True
        self.request.context.abort()
        await asyncio.wait((self._work,))

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
        async with aclosing(produce(self.request, stop_grace=0.5)) as events:
            async for data in events:
                event = decode(data)
                self.over = isinstance(event, RunFinished | RunError)
                self.reducer.apply(event)
                self._log.append(data)
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
