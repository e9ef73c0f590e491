"""The way of a request: guards, hooks and middleware around the handler, in a fixed order."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final, cast
from uuid import uuid4

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from jumpseat.calling import call_user
from jumpseat.errors import Overloaded, RespondWith, RunnerClosed, StoreUnavailable
from jumpseat.web.after import StreamRecord
from jumpseat.web.body import ReplayableRequest, RequestBody, body_of, declared_length
from jumpseat.web.call import Call
from jumpseat.web.closing import closing
from jumpseat.web.cors import CorsHeaders
from jumpseat.web.envelope import Opened, is_envelope, open_envelope
from jumpseat.web.guard import cross_site_refusal, host_refusal
from jumpseat.web.hooks import Hook, HookContext, RouteInfo, reply_of
from jumpseat.web.identity import identify
from jumpseat.web.middleware import Incoming, Outcome, ResponseRecord, after_middleware, before_middleware
from jumpseat.web.paths import RequestPath, request_path
from jumpseat.web.responses import (
    error_response,
    failure_response,
    json_response,
    method_not_allowed,
    not_found,
)
from jumpseat.web.routes import Matched, match
from jumpseat.web.settings import AppSettings
from jumpseat.web.sse import EventStreamResponse

if TYPE_CHECKING:
    from jumpseat.runtime import CopilotRuntime

__all__ = ["Pipeline"]

_logger = logging.getLogger("jumpseat")

# The process is well, and takes on nothing more: no failure that anyone has to look into.
_REFUSALS: Final = (Overloaded, RunnerClosed)
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
_WRONG_MODE = (
    'Received a single-route request envelope ({ method: "..." }) but this runtime is mounted in '
    "multi-route mode, so the request matched no route. Either drop useSingleEndpoint from the frontend "
    'provider so it negotiates the transport, or mount the runtime with mode: "single-route" to serve this '
    "envelope."
)
_NO_CORS = CorsHeaders(allowed=False, fields=(), varies=False)


@dataclass(slots=True)
class Exchange:
    """One request on its way.

    Attributes:
        context: What hooks see; its ``request`` is the request of the moment.
        path: Taken before any hook could change it.
        cors: For the answer.
        call: Set once the handler was asked; only its answers are told to the after middleware.
        ends_here: The answer goes out without ``on_response``.
    """

    context: HookContext
    path: RequestPath
    cors: CorsHeaders = _NO_CORS
    call: Call | None = None
    ends_here: bool = False


class Pipeline:
    """Answers the requests of one application."""

    def __init__(self, runtime: CopilotRuntime, settings: AppSettings) -> None:
        self._runtime = runtime
        self._settings = settings
        self._ask_before = before_middleware(runtime)
        self._tell_after = after_middleware(runtime)

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; a client that leaves before the answer gets none."""
        source, exchange = self._receive(scope, receive)
        try:
            response = await self._respond(exchange)
        except ClientDisconnect:
            return
        self._dress(response, exchange)
        if source.refused:
            send = closing(response, scope, source, send)
        await self._send(response, exchange, source, send)

    def _receive(self, scope: Scope, receive: Receive) -> tuple[RequestBody, Exchange]:
        limit = self._settings.max_body_bytes
        source = RequestBody(receive, limit=limit, declared=declared_length(Request(scope)))
        request = ReplayableRequest(scope, source)
        asked = request.headers.get("x-request-id", "")
        path = request_path(scope, self._settings.base_path)
        context = HookContext(
            request=request,
            path=path.full,
            runtime=self._runtime,
            request_id=asked if _REQUEST_ID.fullmatch(asked) else uuid4().hex,
        )
        return source, Exchange(context, path)

    async def _respond(self, exchange: Exchange) -> Response:
        refusal = host_refusal(exchange.context.request, self._settings.allowed_hosts)
        if refusal is not None:
            return refusal
        try:
            preflight = await self._cors(exchange)
            if preflight is not None:
                return preflight
            response = await self._pass(exchange)
        except ClientDisconnect:
            raise
        except Exception as error:
            response = reply_of(error) or await self._failed(exchange, error)
        if exchange.ends_here:
            return response
        return await self._on_response(exchange, response)

    async def _cors(self, exchange: Exchange) -> Response | None:
        policy, request = self._settings.cors, exchange.context.request
        if policy is None:
            return None
        exchange.cors = await policy.decide(request)
        if request.method != "OPTIONS":
            return None
        exchange.ends_here = True
        return policy.preflight(request, exchange.cors)

    async def _pass(self, exchange: Exchange) -> Response:
        """Take the request through everything up to its handler; the first response ends the way."""
        hooks = self._settings.hooks
        return (
            await self._hook(hooks.on_request, "on_request", exchange)
            or await self._before(exchange)
            or await self._route(exchange)
        )

    async def _hook(self, hook: Hook | None, name: str, exchange: Exchange) -> Response | None:
        if hook is None:
            return None
        result = await call_user(hook, exchange.context)
        if isinstance(result, Response):
            return result
        if isinstance(result, Request):
            exchange.context.request = self._replayable(cast("Request", result))
        elif result is not None:
            _logger.warning("%s returned a %s, which means nothing", name, type(result).__name__)
        return None

    async def _before(self, exchange: Exchange) -> Response | None:
        ask, context = self._ask_before, exchange.context
        if ask is None:
            return None
        incoming = Incoming(
            request=context.request,
            path=context.path,
            runtime=self._runtime,
            request_id=context.request_id,
            max_body_bytes=self._settings.max_body_bytes,
        )
        try:
            result = await ask(incoming)
        except Exception as error:
            reply = reply_of(error)
            if reply is None:
                raise
            result = reply
        if isinstance(result, Request):
            context.request = self._replayable(cast("Request", result))
        elif isinstance(result, Response):
            exchange.ends_here = True
            return result
        elif result is not None:
            raise TypeError(
                "before_request_middleware must return None, a Request or a Response, "
                f"not {type(result).__name__}"
            )
        return None

    async def _route(self, exchange: Exchange) -> Response:
        target = await self._target(exchange)
        if isinstance(target, Response):
            return target
        context, matched = exchange.context, target.matched
        context.request = target.request
        context.path += target.path
        context.route = RouteInfo(
            method=matched.route.name,
            agent_id=matched.params.get("agentId"),
            thread_id=matched.params.get("threadId"),
        )
        method = context.request.method
        if method not in matched.route.handlers:
            return method_not_allowed(matched.route.allow)
        refusal = await self._admit(exchange, matched)
        if refusal is not None:
            return refusal
        refusal = await self._hook(self._settings.hooks.on_before_handler, "on_before_handler", exchange)
        return refusal or target.refusal or await self._handle(exchange, matched, method)

    async def _target(self, exchange: Exchange) -> Opened | Response:
        segments, request = exchange.path.segments, exchange.context.request
        limit = self._settings.max_body_bytes
        if self._settings.mode == "single-route":
            return await open_envelope(request, limit=limit) if segments == () else not_found()
        matched = match(segments) if segments is not None else None
        if matched is not None:
            return Opened(matched, request)
        try:
            misplaced = await is_envelope(request, limit=limit)
        except RespondWith:
            misplaced = False
        if not misplaced:
            return not_found()
        code = "single_route_envelope_against_multi_route_runtime"
        return json_response({"error": "Not found", "code": code, "message": _WRONG_MODE}, 404)

    async def _admit(self, exchange: Exchange, matched: Matched) -> Response | None:
        context, route = exchange.context, matched.route
        if route.is_guarded:
            refusal = cross_site_refusal(context.request, origin_allowed=exchange.cors.allowed)
            if refusal is not None:
                return refusal
        identify_user = self._runtime.identify_user
        if identify_user is None or route.is_public:
            return None
        user = await identify(identify_user, context.request, context.request_id)
        if isinstance(user, Response):
            return user
        context.user = user
        return None

    async def _handle(self, exchange: Exchange, matched: Matched, method: str) -> Response:
        context, route = exchange.context, matched.route
        call = exchange.call = Call(
            request=context.request,
            runtime=self._runtime,
            app=self._settings,
            route=route.name,
            params=matched.params,
            request_id=context.request_id,
            user=context.user,
        )
        try:
            if route.uses_runner:
                await self._runtime.start()
            return await route.handlers[method](call)
        except Exception as error:
            title = route.method_failures.get(method, route.failure)
            if title is None or isinstance(error, ClientDisconnect) or reply_of(error) is not None:
                raise
            return self._failure(call, title, error)

    def _failure(self, call: Call, title: str, error: Exception) -> Response:
        response = failure_response(title, error, call.error_text(error))
        if isinstance(error, _REFUSALS):
            _logger.warning(
                "%s refused (request %s): %s",
                call.route,
                call.request_id,
                error,
                extra={"request_id": call.request_id},
            )
        elif response.status_code >= 500:
            _logger.error(
                "%s failed (request %s): %s",
                call.route,
                call.request_id,
                error,
                # Its text says which store and why; the trace would come with every request of an outage.
                exc_info=None if isinstance(error, StoreUnavailable) else error,
                extra={"request_id": call.request_id},
            )
        if isinstance(error, StoreUnavailable) and call.route.startswith("threads/"):
            return error_response(500, title)
        return response

    async def _on_response(self, exchange: Exchange, response: Response) -> Response:
        hook = self._settings.hooks.on_response
        if hook is None:
            return response
        exchange.context.response = response
        kept = False
        try:
            result = await call_user(hook, exchange.context)
            kept = not isinstance(result, Response) or result is response
        except Exception as error:
            result = reply_of(error) or await self._failed(exchange, error)
        finally:
            if not kept and isinstance(response, EventStreamResponse):
                await response.aclose()
        return response if kept else result

    async def _failed(self, exchange: Exchange, error: Exception) -> Response:
        """Return the answer to an exception that no handler turned into one."""
        context, hook = exchange.context, self._settings.hooks.on_error
        exchange.ends_here, exchange.call = True, None
        extra = {"request_id": context.request_id}
        _logger.error("request %s failed", context.request_id, exc_info=error, extra=extra)
        if hook is not None:
            context.error = error
            try:
                result = await call_user(hook, context)
            except Exception as second:
                result = reply_of(second)
                if result is None:
                    _logger.exception("on_error failed (request %s)", context.request_id, extra=extra)
            if isinstance(result, Response):
                return result
        return error_response(500, "internal_error")

    def _replayable(self, request: Request) -> ReplayableRequest:
        if isinstance(request, ReplayableRequest):
            return request
        source = body_of(request, limit=self._settings.max_body_bytes)
        # What a hook read of its own request, Starlette keeps on that object alone.
        read: bytes | None = getattr(request, "_body", None)
        return ReplayableRequest(request.scope, source if read is None else source.replaced(read))

    def _dress(self, response: Response, exchange: Exchange) -> None:
        headers = response.headers
        headers["X-Request-Id"] = exchange.context.request_id
        if "cache-control" not in headers:
            headers["Cache-Control"] = "no-store"
        exchange.cors.apply(headers)

    async def _send(self, response: Response, exchange: Exchange, source: RequestBody, send: Send) -> None:
        tell, call = self._tell_after, exchange.call
        if tell is None or call is None:
            await response(exchange.context.request.scope, source.receive, send)
            return
        record = StreamRecord()
        if isinstance(response, EventStreamResponse):
            response.observe = record.feed
        finished = False
        try:
            await response(call.request.scope, source.receive, send)
            finished = True
        finally:
            aborted = not finished or getattr(response, "aborted", False)
            outcome = Outcome(
                response=_recorded(response),
                path=exchange.context.path,
                runtime=self._runtime,
                request=call.request,
                request_id=call.request_id,
                messages=record.messages(),
                thread_id=record.thread_id,
                run_id=record.run_id,
                aborted=aborted,
            )
            self._runtime.after_calls.submit(partial(tell, outcome))


def _recorded(response: Response) -> ResponseRecord:
    headers = {name.lower(): value for name, value in response.headers.items()}
    body: Any = getattr(response, "body", b"")
    return ResponseRecord(
        status_code=response.status_code,
        headers=headers,
        body=body if isinstance(body, bytes) else b"",
    )
