"""The Lua scripts that the store runs in the server, read from the files beside this one."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha1
from importlib.resources import files

__all__ = ["MIGRATIONS", "SCRIPTS", "Script"]

_THREAD = ("thread",)
_VIEW = ("thread", "view")
_OWNER = ("owner",)
_INDEX = ("index",)
# What each script begins with.
_PARTS = {
    "claim": _VIEW,
    "take": _THREAD,
    "extend": _THREAD,
    "append": _THREAD,
    "seal": _VIEW,
    "look": _THREAD,
    "live": _THREAD,
    "locate": _VIEW,
    "history": _VIEW,
    "headers": _THREAD,
    "events": _THREAD,
    "stop": _THREAD,
    "record": _THREAD,
    "delete": _THREAD,
    "indexed": _THREAD,
    "drop_idle": _THREAD,
    "drop_log": _THREAD,
    "trim": _THREAD,
    "dump_thread": _THREAD,
    "dump_runs": _THREAD,
    "dump_entries": _VIEW,
    "dump_events": _THREAD,
    "dump_log": _THREAD,
    "load_part": _VIEW,
    "load_end": _THREAD,
    "load_drop": _THREAD,
    "owner_mark": _OWNER,
    "owner_apply": _OWNER,
    "owner_page": _OWNER,
    "owner_marked": _OWNER,
    "owner_unmark": _OWNER,
    "owner_busy": _OWNER,
    "owner_idle": _OWNER,
    "index_claim": _INDEX,
    "index_open": _INDEX,
    "index_close": _INDEX,
    "index_leases": _INDEX,
    "index_logs": _INDEX,
    "index_idle": _INDEX,
    "index_gone": _INDEX,
    "index_long": _INDEX,
    "index_thread": _INDEX,
    "index_scan": _INDEX,
}
# What one script does, done on several threads.
_GROUPS = {"append_group": "append", "extend_group": "extend"}
_MIGRATIONS = ("0001_initial",)


@dataclass(frozen=True, slots=True)
class Script:
    """Source text and the digest under which a server remembers it."""

    source: str
    sha: str


def _script(*names: str) -> Script:
    folder = files("jumpseat.stores.redis") / "lua"
    source = "\n".join((folder / f"{name}.lua").read_text(encoding="utf-8") for name in names)
    # The name under which a server keeps a script, as its protocol wants it; nothing is protected by it.
    return Script(source, sha1(source.encode(), usedforsecurity=False).hexdigest())


# Read with this module: later it would block an event loop.
SCRIPTS = {name: _script(*parts, name) for name, parts in _PARTS.items()}
SCRIPTS.update({name: _script("each", *_PARTS[one], one, "group") for name, one in _GROUPS.items()})
# Number n, counted from 1, brings a database from schema n - 1 to n.
MIGRATIONS = [_script(f"migrations/{name}") for name in _MIGRATIONS]
