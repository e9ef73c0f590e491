"""The options of the command line."""

from __future__ import annotations

import argparse
import re
import sys
from difflib import get_close_matches
from typing import Any, Final, NoReturn

from jumpseat.cli.databases import DATABASE_VARIABLE, DEFAULT_DATABASE
from jumpseat.cli.migrating import add_migrate
from jumpseat.cli.moving import add_export, add_import
from jumpseat.version import __version__

__all__ = ["parse"]

MAX_WORKERS: Final = 256

_DEV: Final = """\
Serves agents and a chat page on this machine, with threads in a SQLite file or where --db says. Without
module:runtime it serves a model when OPENAI_API_KEY, ANTHROPIC_API_KEY or GOOGLE_API_KEY is set
(JUMPSEAT_MODEL, such as openai/gpt-5, names another one), else a demo agent that needs no key. Front ends
on other local ports may call the API."""

_SERVE: Final = """\
Serves the agents of a runtime, with threads in a SQLite file or where --db says, unless the runtime has a
runner of its own. No page, and no other origin may call the API unless --cors says so."""

_TARGET: Final = (
    "a CopilotRuntime, or a function that returns one, as in app:runtime for the runtime of app.py"
)


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Return the options; ``argparse`` ends the process on wrong ones and on ``--help``."""
    parser = _Parser(
        prog="jumpseat",
        description="The Python runtime for AI copilots: works with CopilotKit clients, speaks AG-UI.",
    )
    parser.add_argument("--version", action="version", version=f"jumpseat {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    dev = commands.add_parser("dev", help="serve agents and a chat page on this machine", description=_DEV)
    dev.add_argument(
        "target", nargs="?", metavar="module:runtime", help=f"{_TARGET}; a model or the demo agent without it"
    )
    serve = commands.add_parser("serve", help="serve the agents of a runtime", description=_SERVE)
    serve.add_argument("target", metavar="module:runtime", help=_TARGET)
    dev.set_defaults(worker=None)
    _add_workers(serve)
    for command in (dev, serve):
        _add_common(command)
    add_migrate(commands)
    add_export(commands)
    add_import(commands)
    options, unknown = parser.parse_known_args(arguments)
    if unknown:
        _refuse(commands.choices[options.command], unknown[0])
    options.arguments = sys.argv[1:] if arguments is None else arguments
    return options


class _Parser(argparse.ArgumentParser):
    """A parser, also of commands, that takes no beginnings of options for options."""

    def __init__(self, **options: Any) -> None:
        options["allow_abbrev"] = False
        super().__init__(**options)


def _refuse(command: argparse.ArgumentParser, unknown: str) -> NoReturn:
    name = unknown.partition("=")[0]
    near = get_close_matches(name, _long_options(command), n=1)
    command.error(f"unrecognized argument {name!r}" + (f": did you mean {near[0]}?" if near else ""))


def _long_options(command: argparse.ArgumentParser) -> list[str]:
    return re.findall(r"(?<![\w-])--[a-z][a-z-]*", command.format_usage())


def _add_workers(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--workers",
        type=_workers,
        default=1,
        metavar="N",
        help="processes that share the port and the threads; SIGHUP renews them one by one (default: 1)",
    )
    # The sockets that a worker inherits: the one that listens, and its lifeline.
    command.add_argument("--inherited", dest="worker", type=int, nargs=2, help=argparse.SUPPRESS)


def _add_common(command: argparse.ArgumentParser) -> None:
    add = command.add_argument
    add("--host", default="127.0.0.1", help="address to listen on (default: %(default)s, this machine only)")
    add(
        "--port",
        type=_port,
        default=8000,
        help="port to listen on, 0 for any free one (default: %(default)s)",
    )
    add(
        "--db",
        metavar="FILE|URL",
        help=f"where threads and runs are kept: a SQLite file, postgresql://... or redis://... (default: "
        f"{DATABASE_VARIABLE} of the environment, else {DEFAULT_DATABASE})",
    )
    add(
        "--base-path",
        default="/api/copilotkit",
        metavar="PATH",
        help="path of the API (default: %(default)s)",
    )
    add(
        "--cors",
        action="append",
        default=[],
        metavar="ORIGIN",
        help="origin whose pages may call the API, as in https://app.example.com; '*' for any; repeatable",
    )
    add(
        "--cors-credentials",
        action="store_true",
        help="let those pages send cookies; needs explicit origins",
    )
    add(
        "--allowed-host",
        action="append",
        default=[],
        metavar="NAME",
        help="host name that requests may use, '*.example.com' for subdomains; repeatable",
    )
    add("--single-route", action="store_true", help="serve one URL that takes every operation as a POST")
    add("--access-log", action="store_true", help="log a line for each request")
    add(
        "--log-level",
        choices=("debug", "info", "warning", "error"),
        default="warning",
        help="what is logged (default: %(default)s)",
    )


def _workers(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= MAX_WORKERS:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of processes from 1 to {MAX_WORKERS}")
    return int(text)


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port: give a number from 0 to 65535")
    return int(text)
