"""What the runtime tells clients before anything else."""

import asyncio
import time
from typing import Any

import pytest

from jumpseat import Agent, AgentRunner, CopilotRuntime
from jumpseat.runners.base import ConnectRequest, EventStream, IsRunningRequest, RunRequest, StopRequest
from serving import hello, run_body, serve


class Described(Agent):
    """An agent with capabilities of a test's choice."""

    description = "Does things"

    def __init__(self, answer: Any = None) -> None:
        self._answer = answer

    async def run(self, input: Any, context: Any) -> Any:  # noqa: A002
        yield None

    async def capabilities(self) -> Any:
        return await self._answer() if callable(self._answer) else self._answer


async def hang() -> None:
    await asyncio.Event().wait()


async def fail() -> None:
    raise RuntimeError("no capabilities")


async def test_the_keys_come_in_order_and_tell_the_truth():
    async with serve({"a": hello, "b": Described({}), "c": Described({"x": 1})}) as served:
        answer = await served.client.get("/info")
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    info = answer.json()
    assert list(info) == [
        "version", "agents", "audioFileTranscriptionEnabled", "mode", "threadEndpoints", "suggestions",
        "a2uiEnabled", "openGenerativeUIEnabled", "telemetryDisabled",
    ]  # fmt: skip
    assert info["agents"] == {
        "a": {"name": "a", "className": "FunctionAgent"},
        "b": {"name": "b", "description": "Does things", "className": "Described", "capabilities": {}},
        "c": {"name": "c", "description": "Does things", "className": "Described", "capabilities": {"x": 1}},
    }
    assert (info["mode"], info["suggestions"], info["telemetryDisabled"]) == ("sse", True, True)
    assert (info["audioFileTranscriptionEnabled"], info["a2uiEnabled"]) == (False, False)
    assert info["threadEndpoints"] == {
        "list": True, "inspect": True, "mutations": True, "realtimeMetadata": False,
    }  # fmt: skip


async def test_a_capabilities_call_that_hangs_fails_or_is_no_json_costs_only_its_key():
    agents = {
        "a": Described(hang),
        "b": Described(fail),
        "c": Described({"ok": True}),
        "d": Described(object()),
    }
    agents |= {f"slow{number}": Described(hang) for number in range(5)}
    async with serve(agents) as served:
        begun = time.monotonic()
        info = (await served.client.get("/info")).json()
        assert time.monotonic() - begun < 3
    assert [key for key, agent in info["agents"].items() if "capabilities" in agent] == ["c"]


@pytest.mark.parametrize("error", [SystemExit(3), asyncio.CancelledError()])
async def test_a_capabilities_call_that_wants_to_end_the_process_costs_only_its_key(error):
    async def leave() -> None:
        raise error

    async with serve({"a": Described(leave), "b": Described({"ok": True})}) as served:
        for _ in range(2):
            info = (await served.client.get("/info")).json()
            assert [key for key, agent in info["agents"].items() if "capabilities" in agent] == ["b"]


async def test_an_agents_function_that_raises_is_a_500_without_its_text():
    def agents(request: Any) -> Any:
        raise RuntimeError("password=hunter2")

    async with serve(agents) as served:
        answer = await served.client.get("/info")
        assert (answer.status, answer.json()) == (
            500,
            {"error": "Failed to retrieve runtime information", "message": "Internal error"},
        )


class Bare(AgentRunner):
    """A runner without thread verbs."""

    async def run(self, request: RunRequest) -> EventStream:
        raise NotImplementedError

    async def connect(self, request: ConnectRequest) -> EventStream:
        raise NotImplementedError

    async def is_running(self, request: IsRunningRequest) -> bool:
        return False

    async def stop(self, request: StopRequest) -> bool | None:
        return None


async def test_a_runner_without_thread_verbs_says_so_and_its_thread_routes_are_422():
    async with serve(runner=Bare()) as served:
        info = (await served.client.get("/info")).json()
        assert not any(info["threadEndpoints"].values())
        for method, path in (("GET", "/threads"), ("GET", "/threads/x/state"), ("DELETE", "/threads/x")):
            answer = await served.client.request(method, path)
            assert (answer.status, answer.json()) == (422, {"error": "This runner does not support threads"})


@pytest.mark.parametrize(
    "kind", ["mapping", "awaitable", "async function", "sync function", "keyword", "no parameter"]
)
async def test_agents_may_come_in_any_form(kind: str):
    async def later(request: Any = None) -> Any:
        return {"default": hello}

    forms: dict[str, Any] = {
        "mapping": {"default": hello},
        "awaitable": later() if kind == "awaitable" else None,
        "async function": later,
        "sync function": lambda req: {"default": hello},
        "keyword": lambda *, request: {"default": hello},
        "no parameter": lambda: {"default": hello},
    }
    async with serve(forms[kind]) as served:
        assert list((await served.client.get("/info")).json()["agents"]) == ["default"]
        assert (await served.run()).status == 200
        assert (await served.connect()).status == 200
        assert (await served.client.post("/agent/other/stop/t1")).status == 404


async def test_a_function_is_asked_once_per_request():
    asked: list[str] = []

    def agents(request: Any) -> Any:
        asked.append(request.url.path)
        return {"default": hello}

    async with serve(agents) as served:
        await served.client.get("/info")
        await served.run()
        await served.connect()
        await served.client.post("/agent/default/stop/t1")
        await served.client.post("/agent/default/suggest", json=run_body())
        await served.client.get("/threads")
    assert len(asked) == 5


async def test_an_awaitable_is_awaited_once_and_its_failure_is_kept():
    awaited = 0

    async def agents() -> Any:
        nonlocal awaited
        awaited += 1
        await asyncio.sleep(0)
        raise RuntimeError("no agents")

    async with serve(agents()) as served:
        answers = await asyncio.gather(*(served.client.get("/info") for _ in range(3)))
        assert [answer.status for answer in answers] == [500, 500, 500]
        assert (await served.run()).json()["error"] == "Failed to run agent"
    assert awaited == 1


async def test_an_agents_function_with_an_entry_of_no_known_kind_is_a_500():
    async with serve(lambda: {"default": 5}) as served:
        assert (await served.client.get("/info")).status == 500


async def test_an_id_that_browsers_cannot_send_is_warned_of(caplog: pytest.LogCaptureFixture):
    CopilotRuntime(agents={"sales#2": hello, "fine": hello})
    assert [("sales#2" in record.message) for record in caplog.records] == [True]
