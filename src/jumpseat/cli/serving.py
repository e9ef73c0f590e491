"""Serves an application with uvicorn until a signal ends it, and lets live runs finish first."""

from __future__ import annotations

import asyncio
import errno
import gc
import logging
import math
import os
import signal
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address
from types import FrameType
from typing import TYPE_CHECKING, Any, Final

from starlette.types import ASGIApp

from jumpseat.cli.workers import Lifeline
from jumpseat.errors import ConfigurationError, MissingDependencyError
from jumpseat.runners.event_log import EventLogRunner
from jumpseat.runtime import CopilotRuntime

if TYPE_CHECKING:
    import uvicorn

__all__ = ["Listener", "adopt", "listen", "serve"]

_BACKLOG: Final = 2048
# After the grace of the runs: time to deliver their ends, then to close everything, then the hard way.
_DELIVERY_SECONDS: Final = 2
_EXIT_SECONDS: Final = 4.5
_IDLE_PROBE_SECONDS: Final = 0.05
# Between the last connection that a leaving worker takes, the last it keeps open, and its first refusal.
_PARTING_SECONDS: Final = 0.5
# With hundreds of streams some thousand objects are always on their way, none of them garbage.
_COLLECT_AFTER: Final = 20_000


@dataclass(frozen=True, slots=True)
class Listener:
    """A bound socket, and the address that people reach it at."""

    socket: socket.socket
    host: str
    port: int

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach it."""
        return ip_address(self.socket.getsockname()[0]).is_loopback

    @property
    def url(self) -> str:
        """The origin, without a trailing slash; a wildcard address as ``localhost``."""
        host = "localhost" if self.host in ("", "0.0.0.0", "::") else self.host  # noqa: S104 - compared, not bound
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"


def listen(host: str, port: int) -> Listener:
    """Bind and listen; with port 0 the system chooses. Raises ``ConfigurationError`` saying what is wrong."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except OSError:
        raise ConfigurationError(f"--host {host!r} is not an address of this machine") from None
    bound = socket.socket(family, kind, protocol)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
        bound.listen(_BACKLOG)
    except OSError as error:
        bound.close()
        raise ConfigurationError(_bind_failure(error, host, port)) from None
    return Listener(bound, host, bound.getsockname()[1])


def adopt(host: str, descriptor: int) -> Listener:
    """Return a listener on a socket that was bound by the process that started this one."""
    bound = socket.socket(fileno=descriptor)
    return Listener(bound, host, bound.getsockname()[1])


def _bind_failure(error: OSError, host: str, port: int) -> str:
    match error.errno:
        case errno.EADDRINUSE:
            return f"Port {port} of {host} is in use: stop what uses it, or choose another with --port"
        case errno.EACCES:
            return f"Port {port} needs privileges that this user does not have: choose another with --port"
        case errno.EADDRNOTAVAIL:
            return f"--host {host!r} is not an address of this machine"
        case _:
            return f"Cannot listen on {host}, port {port}: {error.strerror}"


def serve(
    runtime: CopilotRuntime,
    app: ASGIApp,
    listener: Listener,
    *,
    access_log: bool,
    announce: Callable[[float], None],
    lifeline: Lifeline | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT, and return when everything is closed.

    The first signal begins the drain: live runs get ``runtime.shutdown_grace_seconds``, and the process ends
    within five seconds more. A second signal ends it at once.

    Args:
        runtime: Started before the first request and closed after the last.
        app: What is served.
        listener: Where; closed at the end.
        access_log: Whether to log a line for each request.
        announce: Called once, when requests are answered, with the seconds that an end takes at most.
        lifeline: That of a worker. When it parts, the drain begins; a drain takes no new connection, because
            others do.

    Raises:
        MissingDependencyError: uvicorn is not installed.
        JumpseatError: The runtime could not start.
    """
    parting = 0.0 if lifeline is None else _PARTING_SECONDS
    server = _uvicorn(app, runtime.shutdown_grace_seconds + parting, access_log=access_log)
    longest = runtime.shutdown_grace_seconds + 2 * parting + _EXIT_SECONDS
    ending = _Ending(runtime.begin_drain if lifeline is None else lifeline.part, longest)
    # uvicorn would raise the signal again when it has stopped, and the exit code would not be 0.
    server.handle_exit = ending.on_signal
    with listener.socket, asyncio.Runner(loop_factory=_loop_factory()) as runner, ending:
        runner.run(_serve(runtime, server, listener, lambda: announce(longest), lifeline))


async def _serve(
    runtime: CopilotRuntime,
    server: uvicorn.Server,
    listener: Listener,
    announce: Callable[[], None],
    lifeline: Lifeline | None,
) -> None:
    async with runtime:
        _spare_collector()
        if lifeline is not None:
            lifeline.watch(lambda: signal.raise_signal(signal.SIGTERM))
        announce()
        if lifeline is None:
            stop = _stop_when_idle(runtime, server)
        else:
            stop = _leave_to_others(runtime, server, lifeline)
        stopping = asyncio.create_task(stop, name="jumpseat stop")
        try:
            await server.serve(sockets=[listener.socket])
        finally:
            stopping.cancel()
            await asyncio.wait([stopping])


def _spare_collector() -> None:
    """Let the garbage collector look neither at what lasts as long as the process, nor all the time."""
    gc.collect()
    gc.freeze()
    first, second, third = gc.get_threshold()
    if first:
        gc.set_threshold(max(first, _COLLECT_AFTER), second, third)


async def _stop_when_idle(runtime: CopilotRuntime, server: uvicorn.Server) -> None:
    """Stop taking connections when the drain has left no run: until then clients are told to come back."""
    await runtime.wait_draining()
    loop = asyncio.get_running_loop()
    deadline = loop.time() + runtime.shutdown_grace_seconds
    while _live_runs(runtime) and loop.time() < deadline:  # noqa: ASYNC110 - once, for seconds
        await asyncio.sleep(_IDLE_PROBE_SECONDS)
    server.should_exit = True


def _live_runs(runtime: CopilotRuntime) -> int:
    # The runtime itself counts only where it has a limit to keep.
    runner = runtime.runner
    return runner.live_runs if isinstance(runner, EventLogRunner) else runtime.live_runs.count


async def _leave_to_others(runtime: CopilotRuntime, server: uvicorn.Server, lifeline: Lifeline) -> None:
    """Take no more connections, then keep none open for another request, and only then begin the drain.

    The other workers take what comes meanwhile, so that nobody who asks anew is refused.
    """
    await lifeline.parting.wait()
    for accepting in server.servers:
        accepting.close()
    await asyncio.sleep(_PARTING_SECONDS)
    server.should_exit = True
    await asyncio.sleep(_PARTING_SECONDS)
    runtime.begin_drain()


def _uvicorn(app: ASGIApp, grace: float, *, access_log: bool) -> uvicorn.Server:
    try:
        import uvicorn  # noqa: PLC0415 - optional
    except ImportError:
        raise MissingDependencyError(
            'The command line needs a web server: pip install "jumpseat[server]"'
        ) from None
    config = uvicorn.Config(
        app,
        access_log=access_log,
        # The runtime is started and closed around the server: its failures are told in words.
        lifespan="off",
        log_config=None,
        loop="none",
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=math.ceil(grace) + _DELIVERY_SECONDS,
        ws="none",
    )
    return uvicorn.Server(config)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop  # noqa: PLC0415 - optional
    except ImportError:
        return None
    return uvloop.new_event_loop


def _endings() -> list[signal.Signals]:
    """Return the signals that end the process; a hangup that nohup has silenced is none."""
    endings = [signal.SIGINT, signal.SIGTERM]
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:
        endings.append(signal.SIGHUP)
    return endings


class _Ending:
    """Begins the drain on the first signal, ends the process on the second, waits for neither too long."""

    def __init__(self, begin: Callable[[], None], longest: float) -> None:
        self._begin = begin
        self._longest = longest
        self._begun = False
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> None:
        for number in _endings():
            self._previous[number] = signal.signal(number, self.on_signal)

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def on_signal(self, sig: int, frame: FrameType | None) -> None:
        """Take a signal, in the main thread."""
        if self._begun:
            _leave("A second signal: ended at once. Runs that were live are marked as lost.", 128 + sig)
        self._begun = True
        self._begin()
        threading.Thread(target=self._leave_after, args=(self._longest,), daemon=True).start()

    @staticmethod
    def _leave_after(seconds: float) -> None:
        # A thread, because code of the user can block the event loop or a worker thread for ever.
        threading.Event().wait(seconds)
        _leave("Something does not end: ended the hard way. Runs that were live are marked as lost.", 1)


def _leave(message: str, code: int) -> None:
    os.write(2, f"jumpseat: {message}\n".encode())
    logging.shutdown()
    os._exit(code)
