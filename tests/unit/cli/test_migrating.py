import pytest

from jumpseat.cli import main
from jumpseat.stores.postgres.statements import migrations
from postgres_server import shared_server


@pytest.fixture
def dsn():
    server = shared_server()
    server.sql("DROP SCHEMA IF EXISTS cli CASCADE")
    return server.dsn()


@pytest.mark.parametrize("dsn", ["postgresql://me:pa@ss/word@127.0.0.1:5432/app", "me:secret@host/name"])
def test_no_piece_of_a_password_that_is_not_encoded_is_shown(dsn, capsys):
    assert main(["migrate", dsn]) == 2
    told = capsys.readouterr().err
    assert "special characters of the password URL-encoded" in told
    assert not any(piece in told for piece in ("at ss", "word@", "secret"))


@pytest.fixture(autouse=True)
def no_database_in_the_environment(monkeypatch):
    for name in ("JUMPSEAT_DB", "DATABASE_URL"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("variable", ["JUMPSEAT_DB", "DATABASE_URL"])
def test_the_tables_are_made_once_and_it_says_so(variable, dsn, capsys, monkeypatch):
    newest = len(migrations("cli"))
    monkeypatch.setenv(variable, dsn)
    assert main(["migrate", "--schema", "cli"]) == 0
    assert main(["migrate", dsn, "--schema", "cli"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"Schema cli migrated from version 0 to {newest}",
        f"Schema cli has version {newest} already",
    ]
    assert shared_server().sql("SELECT version FROM cli.schema_version") == str(newest)


def test_without_a_connection_string_it_says_what_is_needed(capsys):
    assert main(["migrate"]) == 2
    assert "set JUMPSEAT_DB" in capsys.readouterr().err


def test_what_is_no_connection_string_is_refused_without_being_shown(capsys):
    assert main(["migrate", "me:secret@host/name"]) == 2
    told = capsys.readouterr().err
    assert "postgresql://user@host/name" in told
    assert "secret" not in told


def test_redis_needs_none(capsys, monkeypatch):
    monkeypatch.setenv("JUMPSEAT_DB", "redis://cache/0")
    assert main(["migrate"]) == 0
    assert "nothing to migrate" in capsys.readouterr().out


def test_a_server_that_is_not_there_is_one_line(capsys):
    assert main(["migrate", "postgresql://nobody@127.0.0.1:1/none"]) == 1
    told = capsys.readouterr().err
    assert told.startswith("jumpseat: PostgreSQL at 127.0.0.1, database none: ")
    assert told.count("\n") == 1
