"""Hooks and the before middleware: their order, their results, their exceptions."""

import logging
from collections.abc import Callable
from typing import Any

import pytest
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from jumpseat import ConfigurationError, CopilotRuntime, Hooks, RespondWith, replace_request
from jumpseat.web.hooks import HookContext
from serving import hello, run_body, serve

INTERNAL = {"error": "internal_error"}


def refused(status: int = 401) -> Response:
    return JSONResponse({"error": "no"}, status_code=status)


def raising(error: BaseException) -> Callable[..., Any]:
    def raiser(*_: Any, **__: Any) -> None:
        raise error

    return raiser


def returning(value: Any) -> Callable[[Any], Any]:
    return lambda _: value


class Recorder:
    """Hooks that write down when they ran and what they saw."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.statuses: list[int] = []
        self.routes: list[Any] = []
        self.errors: list[BaseException | None] = []

    def hooks(self, **others: Any) -> Hooks:
        async def on_request(context: HookContext) -> None:
            self.seen.append("on_request")
            assert context.route is None

        def on_before_handler(context: HookContext) -> None:
            self.seen.append("on_before_handler")
            self.routes.append(context.route)

        async def on_response(context: HookContext) -> None:
            self.seen.append("on_response")
            assert context.response is not None
            self.statuses.append(context.response.status_code)
            self.routes.append(context.route)

        def on_error(context: HookContext) -> None:
            self.seen.append("on_error")
            self.errors.append(context.error)

        defaults = {
            "on_request": on_request,
            "on_before_handler": on_before_handler,
            "on_response": on_response,
            "on_error": on_error,
        }
        return Hooks(**(defaults | others))


async def test_everything_around_a_handler_runs_in_a_fixed_order():
    record = Recorder()

    async def before(request: Request) -> None:
        record.seen.append("before")

    def identify(request: Request) -> str:
        record.seen.append("identify")
        return "alice"

    async def after(response: Any) -> None:
        record.seen.append("after")

    def agents(request: Request) -> Any:
        record.seen.append("agents")
        return {"default": hello}

    async with serve(
        agents,
        app={"hooks": record.hooks()},
        before_request_middleware=before,
        after_request_middleware=after,
        identify_user=identify,
    ) as served:
        assert (await served.run()).status == 200
    assert record.seen == [
        "on_request", "before", "identify", "on_before_handler", "agents", "on_response", "after",
    ]  # fmt: skip


async def test_a_hook_sees_route_user_path_and_request_id():
    seen: list[HookContext] = []
    hooks = Hooks(on_before_handler=seen.append)
    async with serve(
        app={"hooks": hooks, "base_path": "/api"}, identify_user=lambda request: "alice"
    ) as served:
        await served.client.post("/api/agent/default/stop/a%2Fb?x=1", headers={"x-request-id": "abc-1"})
    (context,) = seen
    assert context.route is not None
    assert (context.route.method, context.route.agent_id, context.route.thread_id) == (
        "agent/stop", "default", "a/b",
    )  # fmt: skip
    assert context.user is not None
    assert (context.user.id, context.path, context.request_id) == (
        "alice",
        "/api/agent/default/stop/a%2Fb",
        "abc-1",
    )


@pytest.mark.parametrize("hook", ["on_request", "on_before_handler"])
@pytest.mark.parametrize(
    "reply",
    [
        returning(refused()),
        raising(RespondWith(refused())),
        raising(HTTPException(401, detail="no", headers={"www-authenticate": "Basic"})),
    ],
    ids=["returned", "raised", "http exception"],
)
async def test_a_reply_from_a_hook_ends_the_request(hook: str, reply: Any):
    record = Recorder()
    async with serve(app={"hooks": record.hooks(**{hook: reply}), "cors": True}) as served:
        answer = await served.run()
        assert (answer.status, answer.json()) == (401, {"error": "no"})
        assert answer.headers["access-control-allow-origin"] == "*"
        assert record.statuses == [401]
        assert "on_error" not in record.seen
        assert (await served.client.get("/threads")).status == 401


async def test_any_exception_with_a_response_is_a_reply():
    class Teapot(Exception):
        response = Response(status_code=418)

    async with serve(app={"hooks": Hooks(on_request=raising(Teapot()))}) as served:
        assert (await served.client.get("/info")).status == 418


async def test_another_value_is_ignored_with_a_warning(caplog: pytest.LogCaptureFixture):
    async with serve(
        app={"hooks": Hooks(on_request=returning(42), on_before_handler=returning("x"))}
    ) as served:
        assert (await served.client.get("/info")).status == 200
    assert [record.levelno for record in caplog.records].count(logging.WARNING) == 2


@pytest.mark.parametrize("hook", ["on_request", "on_before_handler"])
async def test_an_exception_in_a_hook_goes_to_on_error_and_its_text_to_nobody(hook: str):
    record, error = Recorder(), ValueError("secret detail")
    async with serve(app={"hooks": record.hooks(**{hook: raising(error)}), "cors": True}) as served:
        answer = await served.client.get("/info", headers={"x-request-id": "id-1"})
        assert (answer.status, answer.json()) == (500, INTERNAL)
        assert answer.headers["access-control-allow-origin"] == "*"
        assert answer.headers["x-request-id"] == "id-1"
    assert record.errors == [error]
    assert "on_response" not in record.seen


@pytest.mark.parametrize(
    ("on_error", "status"),
    [
        (returning(refused(418)), 418),
        (raising(HTTPException(503)), 503),
        (raising(ValueError("second")), 500),
        (returning(None), 500),
        (returning(42), 500),
    ],
)
async def test_on_error_may_answer_itself(on_error: Any, status: int):
    hooks = Hooks(on_request=raising(ValueError("first")), on_error=on_error)
    async with serve(app={"hooks": hooks}) as served:
        answer = await served.client.get("/info")
        assert answer.status == status
        assert "first" not in answer.text
        assert "second" not in answer.text


async def test_on_response_runs_once_for_handlers_and_for_refusals():
    record = Recorder()
    async with serve(app={"hooks": record.hooks()}, identify_user=lambda request: None) as served:
        for method, path, status in (
            ("GET", "/info", 200),
            ("GET", "/nowhere", 404),
            ("PUT", "/info", 405),
            ("GET", "/threads", 401),
        ):
            record.statuses.clear()
            assert (await served.client.request(method, path)).status == status
            assert record.statuses == [status]
        assert "on_before_handler" in record.seen


async def test_the_route_is_none_in_on_response_when_nothing_matched():
    record = Recorder()
    async with serve(app={"hooks": record.hooks()}) as served:
        await served.client.get("/nowhere")
    assert record.routes == [None]


async def test_on_before_handler_does_not_run_on_404_405_and_401():
    record = Recorder()
    async with serve(app={"hooks": record.hooks()}, identify_user=lambda request: None) as served:
        for method, path in (("GET", "/nowhere"), ("PUT", "/info"), ("GET", "/threads")):
            await served.client.request(method, path)
    assert "on_before_handler" not in record.seen


async def test_on_response_can_replace_the_response():
    async with serve(app={"hooks": Hooks(on_response=returning(refused(418)))}) as served:
        assert (await served.client.get("/info")).status == 418
        assert (await served.run()).status == 418
        # The run went on without its reader.
        assert (await served.client.get("/threads")).status == 418


@pytest.mark.parametrize("path", ["/info", "/nowhere"])
async def test_an_exception_in_on_response_is_a_json_500_on_every_path(path: str):
    async with serve(app={"hooks": Hooks(on_response=raising(ValueError("secret")))}) as served:
        answer = await served.client.get(path)
        assert (answer.status, answer.json()) == (500, INTERNAL)


async def test_on_response_can_change_headers():
    def stamp(context: HookContext) -> None:
        assert context.response is not None
        context.response.headers["x-stamp"] = "1"

    async with serve(app={"hooks": Hooks(on_response=stamp)}) as served:
        assert (await served.client.get("/info")).headers["x-stamp"] == "1"
        assert (await served.run()).headers["x-stamp"] == "1"


async def test_a_titled_500_of_a_handler_does_not_reach_on_error():
    record = Recorder()

    def agents(request: Request) -> Any:
        raise ValueError("secret")

    async with serve(agents, app={"hooks": record.hooks()}) as served:
        answer = await served.client.get("/info")
        assert answer.json() == {
            "error": "Failed to retrieve runtime information",
            "message": "Internal error",
        }
    assert record.errors == []
    assert record.statuses == [500]


async def test_a_hook_cannot_move_a_request_to_another_route_but_may_change_its_method():
    def move(context: HookContext) -> Request:
        scope = {**context.request.scope, "path": "/nowhere", "raw_path": b"/nowhere"}
        return Request(scope, context.request.receive)

    async with serve(app={"hooks": Hooks(on_request=move)}) as served:
        assert (await served.client.get("/info")).status == 200

    hooks = Hooks(on_request=lambda context: replace_request(context.request, method="post"))
    async with serve(app={"hooks": hooks}) as served:
        assert (await served.client.get("/info")).status == 405


def before_forms(result: Any) -> dict[str, Any]:
    async def with_path(request: Request, path: str) -> Any:
        assert path == "/info"
        return result

    async def alone(request: Request) -> Any:
        return result

    def sync_alone(req: Request) -> Any:
        return result

    def keywords(*, runtime: CopilotRuntime, path: str) -> Any:
        assert path == "/info"
        assert runtime.agents
        return result

    def everything(**values: Any) -> Any:
        assert set(values) == {"request", "path", "runtime"}
        return result

    class Callable:
        async def __call__(self, anything: Request, other: str) -> Any:
            assert other == "/info"
            return result

    return {
        "path": with_path, "alone": alone, "sync": sync_alone, "keywords": keywords, "kwargs": everything,
        "object": Callable(),
    }  # fmt: skip


FORMS = list(before_forms(None))


@pytest.mark.parametrize("form", FORMS)
async def test_a_before_middleware_of_any_form_may_let_pass_or_refuse(form: str):
    async with serve(before_request_middleware=before_forms(None)[form]) as served:
        assert (await served.client.get("/info")).status == 200
    record = Recorder()
    async with serve(
        before_request_middleware=before_forms(refused(403))[form], app={"hooks": record.hooks()}
    ) as served:
        assert (await served.client.get("/info")).status == 403
        assert record.seen == ["on_request"]


@pytest.mark.parametrize("form", FORMS)
async def test_a_before_middleware_that_returns_anything_else_is_a_500(form: str):
    record = Recorder()
    async with serve(
        before_request_middleware=before_forms({})[form], app={"hooks": record.hooks()}
    ) as served:
        answer = await served.client.get("/info")
        assert (answer.status, answer.json()) == (500, INTERNAL)
        assert len(record.errors) == 1
        assert "on_response" not in record.seen


async def test_a_reply_of_the_before_middleware_skips_on_response():
    record = Recorder()
    before = raising(HTTPException(403, detail="no"))
    async with serve(before_request_middleware=before, app={"hooks": record.hooks(), "cors": True}) as served:
        answer = await served.run()
        assert (answer.status, answer.json()) == (403, {"error": "no"})
        assert answer.headers["access-control-allow-origin"] == "*"
    assert record.seen == ["on_request"]


def too_many(a: Any, b: Any, c: Any) -> None:
    """Takes three values that nobody offers."""


@pytest.mark.parametrize("option", ["before_request_middleware", "after_request_middleware"])
@pytest.mark.parametrize("value", [too_many, 5, "ftp://host", "not a url", Recorder])
def test_a_middleware_that_cannot_be_called_is_refused_at_construction(option: str, value: Any):
    with pytest.raises(ConfigurationError, match=option):
        CopilotRuntime(agents={"default": hello}, **{option: value})


@pytest.mark.parametrize("where", ["on_request", "before"])
async def test_a_header_that_was_set_is_seen_by_identity_agents_and_agent(where: str):
    seen: dict[str, Any] = {}

    def change(request: Request) -> Request:
        return replace_request(request, headers={"x-tenant": "acme"}, remove_headers=["x-gone"])

    def identify(request: Request) -> str:
        seen["identify"] = (request.headers.get("x-tenant"), request.headers.get("x-gone"))
        return "alice"

    async def agent(given: Any, context: Any) -> Any:
        seen["agent"] = (context.headers.get("x-tenant"), context.headers.get("x-gone"))
        yield {"type": "CUSTOM", "name": "n", "value": 1}

    def agents(request: Request) -> Any:
        seen["agents"] = (request.headers.get("x-tenant"), request.headers.get("x-gone"))
        return {"default": agent}

    options: dict[str, Any] = (
        {"before_request_middleware": change}
        if where == "before"
        else {"app": {"hooks": Hooks(on_request=lambda context: change(context.request))}}
    )
    async with serve(agents, identify_user=identify, **options) as served:
        assert (await served.run(headers={"x-gone": "1"})).status == 200
    assert seen == dict.fromkeys(("identify", "agents", "agent"), ("acme", None))


async def read_body(context: HookContext) -> None:
    assert (await context.request.json())["threadId"] == "t1"


async def read_stream(context: HookContext) -> None:
    assert b"".join([chunk async for chunk in context.request.stream()])


async def read_through_a_request_of_its_own(context: HookContext) -> Request:
    own = Request(context.request.scope, context.request.receive)
    assert (await own.json())["threadId"] == "t1"
    return own


@pytest.mark.parametrize("hook", [read_body, read_stream, read_through_a_request_of_its_own])
async def test_a_body_that_a_hook_read_is_still_there_for_the_handler(hook: Any):
    hooks = Hooks(on_request=hook, on_before_handler=hook)
    async with serve(app={"hooks": hooks}) as served:
        answer = await served.run()
        assert answer.events[-1]["type"] == "RUN_FINISHED"


async def test_a_replaced_body_is_what_the_handler_parses():
    hooks = Hooks(on_request=lambda context: replace_request(context.request, body=run_body("other")))
    async with serve(app={"hooks": hooks}) as served:
        answer = await served.run("t1")
        assert answer.events[0]["threadId"] == "other"


@pytest.mark.parametrize("hook", ["on_request", "on_before_handler", "on_response", "on_error"])
def test_a_hook_must_be_callable(hook: str):
    with pytest.raises(ConfigurationError, match=hook):
        Hooks(**{hook: "x"})
