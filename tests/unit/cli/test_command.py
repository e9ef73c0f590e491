"""The command serves what it is told to, and says in words what it cannot do."""

import json
import os
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jumpseat.cli.serving import listen
from jumpseat.errors import ConfigurationError

Finish = Callable[..., "subprocess.CompletedProcess[str]"]

APP = """\
from jumpseat import CopilotRuntime, InMemoryAgentRunner

async def echo(input, context):
    yield {"type": "TEXT_MESSAGE_CHUNK", "messageId": context.run_key, "role": "assistant", "delta": "echo"}

plain = CopilotRuntime(agents={"default": echo})
with_runner = CopilotRuntime(agents={"default": echo}, runner=InMemoryAgentRunner())
"""


def body(thread_id: str, text: str = "hello") -> dict[str, Any]:
    messages = [{"id": f"u-{text}", "role": "user", "content": text}]
    return {"threadId": thread_id, "runId": f"r-{text}", "messages": messages, "tools": [], "context": []}


def events(stream: str) -> list[dict[str, Any]]:
    return [
        json.loads(line.removeprefix("data: ")) for line in stream.splitlines() if line.startswith("data: ")
    ]


def test_dev_without_a_target_serves_the_demo_and_keeps_its_threads(
    start: Callable[..., Any], tmp_path: Path
):
    served = start("dev")
    assert "demo agent" in served.announced
    assert "demo" in served.http.get(f"{served.api}/info").json()["agents"]["default"]["description"].lower()
    assert served.http.get(served.url).headers["content-type"].startswith("text/html")
    run = served.http.post(f"{served.api}/agent/default/run", json=body("t1"))
    assert [event["type"] for event in events(run.text)][-1] == "RUN_FINISHED"
    served.close()
    assert (tmp_path / "threads.db").exists()

    again = start("dev")
    listed = again.http.get(f"{again.api}/threads").json()["threads"]
    assert [(thread["id"], thread["name"]) for thread in listed] == [("t1", "hello")]
    assert again.stderr() == ""


def test_serve_has_no_page_and_a_database_where_it_is_told(start: Callable[..., Any], tmp_path: Path):
    (tmp_path / "app.py").write_text(APP)
    served = start("serve", "app:plain", "--db", "data/kept.db", "--base-path", "/copilot/")
    assert served.announced.startswith("Jumpseat ")
    assert served.http.get(f"{served.url}/copilot/info").json()["mode"] == "sse"
    assert served.http.get(served.url).status_code == 404
    assert served.http.post(f"{served.url}/copilot/threads/clear").status_code == 403
    assert (tmp_path / "data" / "kept.db").exists()


@pytest.mark.parametrize(
    ("given", "meant"), [("--cor", "--cors"), ("--worker", "--workers"), ("--dbb=x", "--db")]
)
def test_an_option_that_is_none_is_told_with_the_one_that_is_near(finish: Finish, given: str, meant: str):
    refused = finish("serve", "app:plain", given)
    assert refused.returncode == 2
    assert refused.stderr.endswith(
        f"unrecognized argument {given.split('=', maxsplit=1)[0]!r}: did you mean {meant}?\n"
    )


def test_a_runner_of_the_runtime_stays_and_a_database_beside_it_is_refused(
    start: Callable[..., Any], finish: Finish, tmp_path: Path
):
    (tmp_path / "app.py").write_text(APP)
    served = start("dev", "app:with_runner")
    assert "threads in" not in served.announced
    assert served.http.post(f"{served.api}/agent/default/run", json=body("t1")).status_code == 200
    assert not (tmp_path / "threads.db").exists()
    refused = finish("serve", "app:with_runner", "--db", "x.db")
    assert refused.returncode == 2
    assert "--db has no effect: 'app:with_runner' has a runner of its own" in refused.stderr


def test_dev_lets_local_pages_in_and_refuses_other_host_names(start: Callable[..., Any]):
    served = start("dev")

    def allowed(origin: str) -> str | None:
        answer = served.http.get(f"{served.api}/info", headers={"Origin": origin})
        return answer.headers.get("access-control-allow-origin")

    for origin in ("http://localhost:3000", "http://127.0.0.1:5173", "https://app.localhost"):
        assert allowed(origin) == origin
    for origin in ("https://evil.example", "http://localhost.evil.example", "http://notlocalhost:80"):
        assert allowed(origin) is None
    rebound = served.http.get(f"{served.api}/info", headers={"Host": "evil.example"})
    assert (rebound.status_code, rebound.json()) == (400, {"error": "Invalid host"})


def test_dev_on_every_address_says_what_that_means(start: Callable[..., Any]):
    served = start("dev", "--host", "0.0.0.0")
    assert "localhost" in served.announced
    assert "everyone who reaches this machine" in served.stderr()


def test_serve_lets_in_whom_it_is_told_to(start: Callable[..., Any], tmp_path: Path):
    (tmp_path / "app.py").write_text(APP)
    served = start(
        "serve",
        "app:plain",
        "--cors",
        "https://a.example/",
        "--cors-credentials",
        "--allowed-host",
        "127.0.0.1",
    )
    let_in = served.http.get(f"{served.api}/info", headers={"Origin": "https://a.example"}).headers
    assert let_in["access-control-allow-origin"] == "https://a.example"
    assert let_in["access-control-allow-credentials"] == "true"
    other = served.http.get(f"{served.api}/info", headers={"Origin": "https://b.example"}).headers
    assert "access-control-allow-origin" not in other
    assert served.http.get(f"{served.api}/info", headers={"Host": "x.example"}).status_code == 400


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["serve", "app"], "not of the form module:name"),
        (["serve", "app:missing"], "did you mean 'app:plain'?"),
        (["dev", "no_such:runtime"], "no module 'no_such'"),
        (["dev", "--base-path", "/"], "serves the chat page there"),
        (["dev", "--base-path", "/a?b"], "plain URL path"),
        (["dev", "--cors-credentials"], "needs --cors"),
        (["serve", "app:plain", "--cors", "*", "--cors-credentials"], "explicit origins"),
        (["serve", "app:plain", "--cors", "app.example.com"], "'app.example.com' is no origin"),
        (["dev", "--port", "99999"], "not a port"),
        (["dev", "--host", "no such host"], "not an address of this machine"),
        ([], "required"),
    ],
)
def test_a_wrong_command_line_ends_with_words(
    finish: Finish, tmp_path: Path, arguments: list[str], says: str
):
    (tmp_path / "app.py").write_text(APP)
    done = finish(*arguments)
    assert done.returncode == 2
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_a_module_that_fails_shows_its_own_traceback(finish: Finish, tmp_path: Path):
    (tmp_path / "broken.py").write_text("1 / 0\n")
    done = finish("serve", "broken:runtime")
    assert done.returncode == 1
    assert "ZeroDivisionError" in done.stderr
    assert done.stderr.endswith("jumpseat: importing 'broken' failed; the traceback is above\n")


def test_a_missing_server_names_the_line_that_installs_it(finish: Finish):
    done = finish("dev", "--port", "0", code="import sys\nsys.modules['uvicorn'] = None")
    assert done.returncode == 1
    assert 'pip install "jumpseat[server]"' in done.stderr
    assert "Traceback" not in done.stderr


def test_a_database_that_cannot_be_used_is_named(finish: Finish, tmp_path: Path):
    (tmp_path / "text.db").write_text("not a database, but long enough to be looked at " * 20)
    done = finish("dev", "--port", "0", "--db", "text.db")
    assert done.returncode == 1
    assert "text.db" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_port_in_use_is_named():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigurationError, match=f"Port {port} of 127.0.0.1 is in use"):
            listen("127.0.0.1", port)


@pytest.mark.parametrize(
    ("host", "shown", "local"), [("0.0.0.0", "localhost", False), ("127.0.0.1", "127.0.0.1", True)]
)
def test_the_shown_address_can_be_opened(host: str, shown: str, local: bool):
    listener = listen(host, 0)
    try:
        assert listener.url == f"http://{shown}:{listener.port}"
        assert listener.is_local is local
    finally:
        listener.socket.close()


def test_the_version_is_told(finish: Finish):
    assert finish("--version").stdout.startswith("jumpseat ")


def test_help_names_every_option_with_its_default(finish: Finish):
    text = finish("dev", "--help").stdout
    for word in ("--host", "--port", "--db", "--base-path", "--cors", "--allowed-host", "127.0.0.1", "8000"):
        assert word in text
    assert os.linesep * 3 not in text
