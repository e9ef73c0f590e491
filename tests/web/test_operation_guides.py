"""What the guides say about users and about running a server happens as they say it."""

import re
import shlex
from pathlib import Path

import pytest

from chats import client_of, say, text
from documents import ROOT, code, page
from jumpseat.cli.arguments import parse
from jumpseat.stores.postgres.migrating import migrate_database
from mock_provider import MockProvider, mock_server, provider
from postgres_server import shared_server

__all__ = ["mock_server", "provider"]

GUIDES = ROOT / "docs" / "guides"
THREADS = "/api/copilotkit/threads"


def commands(*languages: str) -> list[str]:
    """Every `jumpseat` command that a guide or the README tells people to type."""
    documents = [*GUIDES.glob("*.md"), ROOT / "README.md"]
    blocks = [block for document in documents for language in languages for block in code(document, language)]
    lines = [line.split("  #")[0] for block in blocks for line in block.splitlines()]
    found = [
        re.search(r"(?:^|[ /])jumpseat ((?:dev|serve|migrate|export|import)\b.*)", line) for line in lines
    ]
    in_json = [re.search(r'CMD \["jumpseat", (.*)\]', line) for line in lines]
    return [match[1] for match in found if match] + [match[1].replace(",", "") for match in in_json if match]


@pytest.mark.parametrize("command", sorted(set(commands("sh", "ini", "dockerfile"))))
def test_every_command_of_the_guides_is_one(command: str):
    words = shlex.split(re.split(r"[|<>]", command)[0])
    assert parse(words).command == words[0]


async def test_each_user_has_threads_of_their_own_and_nobody_has_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, provider: MockProvider
):
    provider.use(monkeypatch)
    monkeypatch.chdir(tmp_path)
    provider.say("Good day, Ann.")
    ann, bob = ({"authorization": f"Bearer a-token-of-{name}"} for name in ("ann", "bob"))
    async with page(GUIDES / "users.md") as program, client_of(program) as client:
        assert text(await say(client, "hello", headers=ann)) == "Good day, Ann."
        assert "You talk to Ann." in provider.requests[0].text
        assert (await client.get(THREADS)).status == 401
        assert (await client.get(THREADS, headers={"authorization": "Bearer guessed"})).status == 401
        assert (await client.get(THREADS, headers=bob)).json() == {"threads": [], "nextCursor": None}
        (thread,) = (await client.get(THREADS, headers=ann)).json()["threads"]
        assert thread["createdById"] == "ann"
        refused = await client.request("DELETE", f"{THREADS}/{thread['id']}", headers=bob)
        assert refused.status == 404


async def test_the_program_for_several_machines_keeps_its_threads_in_postgresql(
    monkeypatch: pytest.MonkeyPatch,
):
    dsn = shared_server().dsn()
    monkeypatch.setenv("DATABASE_URL", dsn)
    monkeypatch.delenv("DATABASE_DIRECT_URL", raising=False)
    await migrate_database(dsn, "jumpseat")
    host = {"host": "app.example.com"}
    async with page(GUIDES / "deploying.md") as program, client_of(program) as client:
        assert text(await say(client, "hello", headers=host)) == "You said: hello"
        (thread,) = (await client.get(THREADS, headers=host)).json()["threads"]
        assert thread["name"] == "hello"
        assert (await client.get(THREADS, headers={"host": "elsewhere.example.net"})).status == 400
    shared_server().sql("DROP SCHEMA jumpseat CASCADE")
