"""Request bodies: how large, how broken, and when they are read."""

import asyncio
import json
import tracemalloc
from collections.abc import AsyncIterator
from typing import Any

import pytest

from jumpseat.testing.scripted import ScriptedAgent
from jumpseat.web.body import BodyStalled, RequestBody
from jumpseat.web.closing import LINGER_BYTES
from serving import run_body, serve

MIB = 1024 * 1024
JSON = {"content-type": "application/json"}


class Upload:
    """A body in pieces that counts how many were taken."""

    def __init__(self, pieces: int, piece: bytes = b"x" * MIB) -> None:
        self.taken = 0
        self._pieces = pieces
        self._piece = piece

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for _ in range(self._pieces):
            self.taken += 1
            yield self._piece


async def test_a_declared_length_over_the_limit_is_413_before_a_byte_is_read():
    upload = Upload(1)
    taken_at: list[int] = []
    async with serve(app={"max_body_bytes": 1000, "cors": True}) as served:
        async with served.client.stream(
            "POST", "/agent/default/run", chunks=aiter(upload), headers=JSON | {"content-length": "1001"}
        ) as answer:
            assert answer.status == 413
            assert answer.headers["access-control-allow-origin"] == "*"
            assert answer.headers["x-request-id"]
            assert answer.headers["cache-control"] == "no-store"
            assert answer.headers["connection"] == "close"
        too_large = await served.client.post("/agent/default/run", content=b"x" * 1001, headers=JSON)
        assert too_large.json() == {
            "error": "Request body too large",
            "message": "The limit is 1000 bytes",
            "code": "body_too_large",
        }

        async def receive() -> Any:
            taken_at.append(sum(len(message.get("body", b"")) for message in sent))
            return {"type": "http.request", "body": b"x" * 1001, "more_body": False}

        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message)

        headers = [("content-type", "application/json"), ("content-length", "1001")]
        await served.app(served.client._scope("POST", "/agent/default/run", headers), receive, send)
    # What the client sends is taken only when it has the whole answer.
    assert taken_at == [len(too_large.body)]
    assert [message.get("more_body", False) for message in sent[1:]] == [True, False]


async def test_an_upload_of_a_gigabyte_is_cut_at_the_limit_in_flat_memory():
    upload = Upload(1024)
    async with serve(app={"max_body_bytes": 4 * MIB}) as served:
        tracemalloc.start()
        try:
            async with served.client.stream(
                "POST", "/agent/default/run", chunks=aiter(upload), headers=JSON
            ) as answer:
                assert answer.status == 413
                async with asyncio.timeout(10):
                    await asyncio.wait([answer.task])
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    # Five pieces to see that it is too large; a few more while the client comes to read the answer.
    assert 5 <= upload.taken <= 5 + LINGER_BYTES // MIB
    assert peak < 12 * MIB


async def test_a_body_of_exactly_the_limit_passes():
    content = json.dumps(run_body()).encode()
    async with serve(app={"max_body_bytes": len(content)}) as served:
        assert (await served.client.post("/agent/default/run", content=content, headers=JSON)).status == 200
        longer = content + b" "
        assert (await served.client.post("/agent/default/run", content=longer, headers=JSON)).status == 413


@pytest.mark.parametrize("refusal", ["identity", "hook", "agent", "route"])
async def test_the_body_of_a_request_that_is_refused_earlier_is_never_read(refusal: str):
    from starlette.responses import Response

    from jumpseat import Hooks

    upload = Upload(1)
    options: dict[str, Any] = {}
    if refusal == "identity":
        options["identify_user"] = lambda request: None
    if refusal == "hook":
        options["app"] = {"hooks": Hooks(on_before_handler=lambda context: Response(status_code=403))}
    path = {"agent": "/agent/none/run", "route": "/nowhere"}.get(refusal, "/agent/default/run")
    kind = {"content-type": "text/plain"} if refusal == "route" else JSON
    async with (
        serve(**options) as served,
        served.client.stream("POST", path, chunks=aiter(upload), headers=kind) as answer,
    ):
        assert answer.status in (401, 403, 404)
    assert upload.taken == 0


@pytest.mark.parametrize(
    "content",
    [
        b"", b"{", b"null", b"[]", b'"x"', b"[" * 100_000, b'{"a":' * 100_000, b"\xff\xfe", b"{}",
        json.dumps(run_body()).replace('"hi"', "NaN").encode(),
        json.dumps(run_body(messages=None)).encode(),
        json.dumps(run_body(messages=[{"id": "1", "role": "wizard", "content": "x"}])).encode(),
        json.dumps(run_body(threadId="")).encode(),
        json.dumps(run_body(threadId="x" * 513)).encode(),
        json.dumps(run_body(threadId="a\u0000b")).encode(),
        json.dumps(run_body(threadId="\ud83d")).encode(),
        json.dumps(run_body(state=json.loads("[" * 300 + "]" * 300))).encode(),
    ],
)  # fmt: skip
@pytest.mark.parametrize("operation", ["run", "connect", "suggest"])
async def test_a_body_that_is_no_input_is_400_and_the_server_lives(operation: str, content: bytes):
    async with serve() as served:
        answer = await served.client.post(f"/agent/default/{operation}", content=content, headers=JSON)
        assert (answer.status, answer.json()["error"]) == (400, "Invalid request body")
        assert answer.json()["details"]
        assert "Traceback" not in answer.text
        assert (await served.client.get("/info")).status == 200


async def test_the_details_name_the_first_fault():
    async with serve() as served:
        bad = run_body(messages=[{"id": "1", "role": "user", "content": "x"}, {"id": "2", "role": "wizard"}])
        answer = await served.client.post("/agent/default/run", json=bad)
        assert answer.json()["details"].startswith("messages[1]")


def tolerated() -> dict[str, bytes]:
    body = run_body()
    without_tools = {key: value for key, value in body.items() if key not in ("tools", "context")}
    return {
        "byte order mark": b"\xef\xbb\xbf" + json.dumps(body).encode(),
        "unknown keys": json.dumps(
            body | {"x": {"y": 1}, "messages": [{**body["messages"][0], "z": 1}]}
        ).encode(),
        "lone surrogate": json.dumps(run_body(text="a\ud83d")).encode(),
        "missing tools": json.dumps(without_tools).encode(),
        "null tools": json.dumps(body | {"tools": None, "context": None}).encode(),
        "repeated key": json.dumps(body)[:-1].encode() + b',"runId":"again"}',
    }


@pytest.mark.parametrize("kind", list(tolerated()))
async def test_what_clients_really_send_is_accepted_and_answered_in_valid_utf_8(kind: str):
    async with serve() as served:
        answer = await served.client.post("/agent/default/run", content=tolerated()[kind], headers=JSON)
        assert answer.status == 200
        assert answer.events[-1]["type"] == "RUN_FINISHED"
        answer.body.decode("utf-8", "strict")


async def test_the_content_type_of_a_body_does_not_matter():
    content = json.dumps(run_body()).encode()
    async with serve() as served:
        for headers in ({}, {"content-type": "text/plain"}, {"content-type": "application/x-json"}):
            answer = await served.client.post("/agent/default/run", content=content, headers=headers)
            assert answer.status == 200


async def test_a_body_of_megabytes_reaches_the_agent_whole():
    agent, text = ScriptedAgent(), "é" * (2 * MIB)
    async with serve({"default": agent}) as served:
        assert (await served.run(text=text)).status == 200
    assert agent.inputs[0].messages[0].content == text


@pytest.mark.parametrize("limit", [0, -1, "x", True, None, 1.5])
def test_a_limit_that_cannot_work_is_refused(limit: Any):
    from jumpseat import ConfigurationError, CopilotRuntime
    from serving import hello

    with pytest.raises(ConfigurationError, match="max_body_bytes"):
        CopilotRuntime(agents={"default": hello}).app(max_body_bytes=limit)


async def test_a_body_that_stops_coming_is_given_up(monkeypatch):
    monkeypatch.setattr("jumpseat.web.body.IDLE_SECONDS", 0.05)
    silence = asyncio.Event()

    async def receive():
        await silence.wait()

    with pytest.raises(BodyStalled) as stalled:
        await RequestBody(receive, limit=100, declared=10).read()
    assert stalled.value.response.status_code == 408
