"""`jumpseat export` and `jumpseat import` as processes: what they read and write, and how they end."""

import json
import os
import subprocess
import sys

import pytest

from jumpseat.cli import moving
from jumpseat.stores.sqlite import SqliteStore
from jumpseat.testing.store_cases.dumps import branches, picture
from jumpseat.testing.store_cases.material import claimed
from postgres_server import lent_schema, shared_server

PROGRAM = """
from jumpseat import CopilotRuntime, InMemoryAgentRunner, PostgresAgentRunner, SqliteAgentRunner

async def hello(input, context):
    yield {"type": "TEXT_MESSAGE_CHUNK", "delta": "hello"}

agents = {"default": hello}
runtime = CopilotRuntime(agents=agents, runner=SqliteAgentRunner("threads.db"))
without = CopilotRuntime(agents=agents)
forgetful = CopilotRuntime(agents=agents, runner=InMemoryAgentRunner())
"""


@pytest.fixture
async def threads(tmp_path):
    """A SQLite file `threads.db` with three threads, of which one has a live run."""
    store = SqliteStore(tmp_path / "threads.db")
    await store.open()
    for number in range(3):
        await branches(store, thread_id=f"t{number}")
    await claimed(store, "t1", run_id="the live one")
    yield store
    await store.aclose()


def told(done: subprocess.CompletedProcess[str]) -> list[str]:
    return [line.removeprefix("jumpseat: ") for line in done.stderr.splitlines()]


async def test_threads_go_through_a_file_and_back(threads, finish, tmp_path):
    done = finish("export", "-o", "backup.jsonl")
    assert (done.returncode, done.stdout) == (0, "")
    assert told(done) == [
        "run 'the live one' of thread 't1' is not finished: left out",
        "exported 3 threads to backup.jsonl",
    ]
    assert sorted(path.name for path in tmp_path.glob("backup*")) == ["backup.jsonl"]
    done = finish("import", "other.db", "--input", "backup.jsonl")
    assert (done.returncode, told(done)) == (0, ["imported 3 threads"])
    done = finish("import", "other.db", "--input", "backup.jsonl")
    assert told(done) == ["imported 0 threads, left 3 that exist as they are"]
    done = finish("import", "other.db", "--input", "backup.jsonl", "--replace")
    assert told(done) == ["imported 0 threads, replaced 3"]
    other = SqliteStore(tmp_path / "other.db")
    await other.open()
    assert await picture(other, None, "t0") == await picture(threads, None, "t0")
    await other.aclose()


def test_one_command_pipes_into_the_other(threads, tmp_path):
    command = [sys.executable, "-m", "jumpseat.cli"]
    done = subprocess.run(
        ["sh", "-c", '"$@" export threads.db | "$@" import piped.db', "sh", *command],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert sorted(told(done))[0:2] == ["exported 3 threads", "imported 3 threads"]
    assert (tmp_path / "piped.db").exists()


async def test_a_thread_with_a_live_run_is_not_replaced_and_the_exit_code_says_so(threads, finish):
    finish("export", "-o", "backup.jsonl")
    done = finish("import", "-i", "backup.jsonl", "--replace")
    assert done.returncode == 1
    assert told(done) == [
        "thread 't1' has a live or queued run: not replaced",
        "imported 0 threads, replaced 2",
        "1 thread could not be replaced while a run is live: import again when it is over",
    ]


async def test_a_file_that_is_cut_off_is_told_with_its_line(threads, finish, tmp_path):
    finish("export", "-o", "backup.jsonl")
    lines = (tmp_path / "backup.jsonl").read_bytes().splitlines(keepends=True)
    starts = [number for number, line in enumerate(lines, 1) if line.startswith(b'{"kind":"thread"')]
    (tmp_path / "cut.jsonl").write_bytes(b"".join(lines[: starts[1] + 2])[:-10])
    done = finish("import", "other.db", "-i", "cut.jsonl")
    assert done.returncode == 1
    kept, reason = told(done)
    assert kept == "imported 1 thread; that stays"
    assert reason.startswith(f"line {starts[1] + 2}: this is no line of an export")
    assert reason.endswith("perhaps because the file is cut off")


async def test_a_runtime_a_variable_and_a_path_name_the_same_file(threads, finish, tmp_path):
    (tmp_path / "app.py").write_text(PROGRAM, encoding="utf-8")
    whole = finish("export", "threads.db").stdout
    assert json.loads(whole.splitlines()[-1]) == {"kind": "end", "threads": 3}
    assert finish("export").stdout == whole
    assert finish("export", "app:runtime").stdout == whole
    assert finish("export", "app:without").stdout == whole
    assert finish("export", JUMPSEAT_DB=str(tmp_path / "threads.db")).stdout == whole


async def test_a_runtime_names_its_database_and_schema(threads, finish, tmp_path):
    finish("export", "-o", "backup.jsonl")
    with lent_schema() as schema:
        runner = f"PostgresAgentRunner({shared_server().dsn()!r}, schema={schema!r})"
        program = PROGRAM.replace('SqliteAgentRunner("threads.db")', runner)
        (tmp_path / "app.py").write_text(program, encoding="utf-8")
        done = finish("import", "app:runtime", "-i", "backup.jsonl")
        assert (done.returncode, told(done)) == (0, ["imported 3 threads"])
        exported = finish("export", "app:runtime").stdout
    assert exported == (tmp_path / "backup.jsonl").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("export", "nothing.db"), "There is no file 'nothing.db'"),
        (("export", "mysql://host/name"), "Threads cannot be kept in mysql://"),
        (("export", "app:forgetful"), "keeps its threads in memory"),
        (("export", "app:nothing"), "has no 'nothing'"),
        (("import", "new.db", "-i", "nothing.jsonl"), "nothing.jsonl cannot be read: No such file"),
    ],
)
def test_what_cannot_be_used_is_told_before_anything_is_done(finish, tmp_path, arguments, reason):
    (tmp_path / "app.py").write_text(PROGRAM, encoding="utf-8")
    done = finish(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert reason in done.stderr
    assert not list(tmp_path.glob("*.db"))


async def test_a_folder_that_is_not_there_takes_no_export(threads, finish):
    done = finish("export", "-o", "nowhere/backup.jsonl")
    assert done.returncode == 1
    assert told(done) == ["nowhere/backup.jsonl cannot be written: No such file or directory"]


async def test_an_export_that_nobody_reads_ends_quietly(threads, tmp_path):
    await branches(threads, thread_id="u" * 200_000)
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-m", "jumpseat.cli", "export"],
        cwd=tmp_path,
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
        check=False,
    )
    os.close(writing)
    assert done.returncode == 1
    assert told(done)[-1] == "nobody reads the export any more: it is not complete"
    assert "Traceback" not in done.stderr


async def test_an_old_backup_stays_until_the_new_one_is_complete(threads, finish, tmp_path):
    (tmp_path / "backup.jsonl").write_text("the old one", encoding="utf-8")
    (tmp_path / "broken.db").write_bytes(b"no database" * 100)
    done = finish("export", "broken.db", "-o", "backup.jsonl")
    assert done.returncode == 1
    assert (tmp_path / "backup.jsonl").read_text(encoding="utf-8") == "the old one"
    assert sorted(path.name for path in tmp_path.glob("backup*")) == ["backup.jsonl"]


def test_a_line_without_an_end_does_not_fill_the_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(moving, "_LONGEST_LINE", 1 << 20)
    with (tmp_path / "zeros").open("w+b") as source:
        source.truncate(3 << 20)
        with pytest.raises(moving.InvalidExport, match=r"^line 1: a line of an export has at most 1 MiB"):
            list(moving._lines(source))


def test_progress_is_told_every_few_seconds(capsys):
    now = iter([0.0, 1.0, 6.0, 6.0, 7.0, 12.0, 12.0])
    progress = moving._Progress("exported so far", lambda: next(now))
    for threads in (1, 2, 3, 4):
        progress(threads)
    assert capsys.readouterr().err.splitlines() == [
        "jumpseat: 2 threads exported so far",
        "jumpseat: 4 threads exported so far",
    ]
