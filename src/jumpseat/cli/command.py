"""Runs what the command line asks for."""

from __future__ import annotations

import argparse
import asyncio
import logging
import re
import signal
import socket
import sys
import traceback
from contextlib import nullcontext
from typing import Final, Literal
from urllib.parse import unquote

from starlette.types import ASGIApp

from jumpseat.cli.arguments import parse
from jumpseat.cli.chat_page import ChatPage
from jumpseat.cli.databases import (
    DATABASE_VARIABLE,
    DEFAULT_DATABASE,
    describe_database,
    named_database,
    open_database,
)
from jumpseat.cli.dev_agent import choose_agent
from jumpseat.cli.loading import TargetFailed, load_runtime
from jumpseat.cli.local_site import LocalSite
from jumpseat.cli.migrating import migrate
from jumpseat.cli.moving import run_export, run_import
from jumpseat.cli.serving import Listener, adopt, listen, serve
from jumpseat.cli.workers import Lifeline, Workers
from jumpseat.errors import ConfigurationError, JumpseatError
from jumpseat.runners.event_log import EventLogRunner
from jumpseat.runners.in_memory import InMemoryAgentRunner
from jumpseat.runtime import CopilotRuntime
from jumpseat.version import __version__
from jumpseat.web.cors import CorsConfig

__all__ = ["main"]

_logger = logging.getLogger("jumpseat.cli")

_LOCAL_NAMES: Final = ("localhost", "*.localhost", "127.0.0.1", "::1")
_LOCAL_ORIGIN: Final = re.compile(r"https?://(([a-z0-9-]+\.)*localhost|127\.0\.0\.1|\[::1\])(:\d+)?")
_WILDCARDS: Final = ("", "0.0.0.0", "::")  # noqa: S104 - compared, not bound


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit code; ``arguments`` are those of the process by default."""
    options = parse(arguments)
    logging.basicConfig(
        level=logging.INFO if options.access_log else options.log_level.upper(),
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    try:
        _COMMANDS[options.command](options)
    except TargetFailed as failed:
        traceback.print_exception(failed.__cause__)
        return _report(f"{failed}; the traceback is above", 1)
    except ConfigurationError as wrong:
        return _report(str(wrong), 2)
    except JumpseatError as error:
        return _report(str(error), 1)
    except KeyboardInterrupt:
        return 130
    return 0


def _report(message: str, code: int) -> int:
    print(f"jumpseat: {message}", file=sys.stderr)
    return code


def _dev(options: argparse.Namespace) -> None:
    runtime, what, model = _dev_runtime(options.target)
    runtime.dev = True
    path = _api_path(options)
    if not path:
        raise ConfigurationError("--base-path cannot be / here: `jumpseat dev` serves the chat page there")
    where = _use_database(runtime, options)
    listener = listen(options.host, options.port)
    page = ChatPage(api_path=path, demo=options.target is None and not model, model=model)
    app = LocalSite(
        api=runtime.app(
            base_path=path,
            mode=_mode(options),
            cors=_cors(options) or CorsConfig(origins=_LOCAL_ORIGIN, credentials=True),
            allowed_hosts=_local_hosts(options),
        ),
        api_path=unquote(path),
        page=page,
    )
    if not listener.is_local:
        _logger.warning(
            "--host %s: everyone who reaches this machine can read and clear all threads", options.host
        )
    chat = f"chat at {listener.url}/" if page.is_built else f"no chat page ({listener.url}/ says why)"
    _run(runtime, app, listener, options, f"{what}: {chat}, API at {listener.url}{path}{where}")


def _dev_runtime(target: str | None) -> tuple[CopilotRuntime, str, str]:
    """Return the runtime, what it is in words, and the model that was chosen for it, if one was."""
    if target is not None:
        return load_runtime(target), target, ""
    chosen = choose_agent()
    for note in chosen.notes:
        print(f"jumpseat: {note}", file=sys.stderr)
    runtime = CopilotRuntime(agents={"default": chosen.agent}, transcription_service=chosen.transcription)
    return runtime, chosen.what, chosen.model


def _serve(options: argparse.Namespace) -> None:
    if options.workers > 1 and options.worker is None:
        _serve_with_workers(options)
        return
    runtime = load_runtime(options.target)
    where = _use_database(runtime, options)
    if options.worker is not None:
        _check_shared(runtime, options)
    path = _api_path(options)
    app = runtime.app(
        base_path=path,
        mode=_mode(options),
        cors=_cors(options) or False,
        allowed_hosts=options.allowed_host or None,
    )
    listener = (
        adopt(options.host, options.worker[0]) if options.worker else listen(options.host, options.port)
    )
    _run(runtime, app, listener, options, f"{options.target}: API at {listener.url}{path}{where}")


def _serve_with_workers(options: argparse.Namespace) -> None:
    if not hasattr(signal, "SIGHUP"):
        raise ConfigurationError("--workers needs a system with Unix signals: run one process per port here")
    listener = listen(options.host, options.port)

    def command(listening: int, lifeline: int) -> list[str]:
        again = [sys.executable, "-m", "jumpseat.cli", *options.arguments]
        return [*again, "--inherited", str(listening), str(lifeline)]

    def announce(what: str) -> None:
        _announce(f"{what}, {options.workers} workers")

    with listener.socket:
        code = asyncio.run(Workers(listener.socket, options.workers, command).run(announce))
    if code:
        raise SystemExit(code)


def _check_shared(runtime: CopilotRuntime, options: argparse.Namespace) -> None:
    if isinstance(runtime.runner, InMemoryAgentRunner) or named_database(options.db) == ":memory:":
        raise ConfigurationError(
            "--workers needs threads that all processes see, and these live in the memory of each: use a "
            "SQLite file, PostgreSQL or Redis"
        )


def _run(
    runtime: CopilotRuntime, app: ASGIApp, listener: Listener, options: argparse.Namespace, what: str
) -> None:
    lifeline = Lifeline(options.worker[1]) if options.worker else None

    def announce(exit_seconds: float) -> None:
        if lifeline is None:
            _announce(what)
        else:
            lifeline.ready(what, exit_seconds)

    with lifeline or nullcontext():
        serve(
            runtime,
            app,
            listener,
            access_log=options.access_log,
            announce=announce,
            lifeline=lifeline,
        )


def _announce(what: str) -> None:
    print(f"Jumpseat {__version__} serves {what} (Ctrl+C stops it)", flush=True)


def _use_database(runtime: CopilotRuntime, options: argparse.Namespace) -> str:
    """Give the runtime a runner if it has none, and return how to say where its threads are."""
    name = named_database(options.db)
    if runtime.has_runner:
        if name is not None:
            raise ConfigurationError(
                f"{'--db' if options.db else DATABASE_VARIABLE} has no effect: '{options.target}' has a "
                f"runner of its own ({type(runtime.runner).__name__}); leave one of them out"
            )
        return ""
    name = name or DEFAULT_DATABASE
    runtime.use_runner(EventLogRunner(open_database(name)))
    return f", threads in {describe_database(name)}"


_COMMANDS: Final = {
    "dev": _dev,
    "serve": _serve,
    "migrate": migrate,
    "export": run_export,
    "import": run_import,
}


def _api_path(options: argparse.Namespace) -> str:
    segments = [segment for segment in options.base_path.split("/") if segment]
    return "".join(f"/{segment}" for segment in segments)


def _mode(options: argparse.Namespace) -> Literal["multi-route", "single-route"]:
    return "single-route" if options.single_route else "multi-route"


def _cors(options: argparse.Namespace) -> CorsConfig | None:
    if not options.cors:
        if options.cors_credentials:
            raise ConfigurationError("--cors-credentials needs --cors with explicit origins")
        return None
    origins = "*" if options.cors == ["*"] else [origin.rstrip("/") for origin in options.cors]
    return CorsConfig(origins=origins, credentials=options.cors_credentials)


def _local_hosts(options: argparse.Namespace) -> list[str]:
    """Names that a page elsewhere cannot point at this machine without being noticed."""
    own = [socket.gethostname()] if options.host in _WILDCARDS else [options.host]
    return [*_LOCAL_NAMES, *own, *options.allowed_host]
