"""Where `--db` and `JUMPSEAT_DB` lead."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jumpseat.cli.databases import describe_database, named_database, open_database
from jumpseat.errors import ConfigurationError
from jumpseat.stores.postgres import PostgresStore
from jumpseat.stores.redis import RedisStore
from jumpseat.stores.sqlite import SqliteStore
from postgres_server import shared_server

APP = """\
from jumpseat import CopilotRuntime

async def echo(input, context):
    yield {"type": "TEXT_MESSAGE_CHUNK", "messageId": context.run_key, "role": "assistant", "delta": "echo"}

runtime = CopilotRuntime(agents={"default": echo})
"""


@pytest.mark.parametrize(
    ("name", "kind", "words"),
    [
        ("threads.db", SqliteStore, "threads.db"),
        ("data/of://app.db", SqliteStore, "data/of://app.db"),
        (":memory:", SqliteStore, "a temporary file"),
        ("postgresql://app:secret@db/app", PostgresStore, "PostgreSQL"),
        ("postgres://db/app", PostgresStore, "PostgreSQL"),
        ("redis://:secret@cache:6379/0", RedisStore, "Redis"),
        ("REDISS://cache", RedisStore, "Redis"),
        ("redis+sentinel://one:26379,two/main/0", RedisStore, "Redis"),
    ],
)
def test_a_name_leads_to_its_store_and_is_told_without_its_password(name: str, kind: type, words: str):
    assert isinstance(open_database(name), kind)
    assert describe_database(name) == words


@pytest.mark.parametrize("name", ["mysql://db/app", "http://host", "sqlite:///threads.db"])
def test_a_url_of_something_else_is_refused(name: str):
    with pytest.raises(ConfigurationError, match=r"postgresql://\.\.\., or redis://") as refused:
        open_database(name)
    assert "app" not in str(refused.value)


def test_what_looks_like_a_server_makes_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    for name in ("localhost:5432", "db.example.com:5432/copilot"):
        with pytest.raises(ConfigurationError, match="looks like a host and a port"):
            open_database(name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("empty", ["", " "])
def test_an_unset_variable_of_a_shell_is_no_database(empty: str):
    with pytest.raises(ConfigurationError, match="--db is empty"):
        named_database(empty)


def test_the_option_goes_before_the_environment(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("JUMPSEAT_DB", raising=False)
    assert named_database(None) is None
    monkeypatch.setenv("JUMPSEAT_DB", "redis://cache")
    assert named_database(None) == "redis://cache"
    assert named_database("threads.db") == "threads.db"


def test_threads_in_postgresql_are_there_after_a_restart(start: Callable[..., Any], tmp_path: Path):
    (tmp_path / "app.py").write_text(APP)
    server = shared_server()
    server.sql("DROP SCHEMA IF EXISTS jumpseat CASCADE")
    served = start("serve", "app:runtime", JUMPSEAT_DB=server.dsn())
    assert served.announced.endswith("threads in PostgreSQL (Ctrl+C stops it)\n")
    body = {"threadId": "t1", "runId": "r1", "messages": [{"id": "u1", "role": "user", "content": "hello"}]}
    assert served.http.post(f"{served.api}/agent/default/run", json=body).status_code == 200
    served.close()
    again = start("serve", "app:runtime", "--db", server.dsn())
    assert [thread["id"] for thread in again.http.get(f"{again.api}/threads").json()["threads"]] == ["t1"]
    assert not list(tmp_path.glob("*.db"))
    server.sql("DROP SCHEMA jumpseat CASCADE")
