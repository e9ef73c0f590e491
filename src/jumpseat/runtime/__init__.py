"""CopilotRuntime: the configuration, the agents of a request, and the lifetime of everything it owns."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Self, TypeAlias, cast

from starlette.requests import Request

from jumpseat.agents.base import Agent
from jumpseat.context import User
from jumpseat.errors import ConfigurationError
from jumpseat.runners.base import AgentRunner
from jumpseat.runtime.background import BackgroundCalls
from jumpseat.runtime.debug_feed import DebugFeed
from jumpseat.runtime.forwarding import ForwardHeaders
from jumpseat.runtime.lifetime import Lifetime
from jumpseat.runtime.live_runs import LiveRuns
from jumpseat.runtime.middleware_forms import after_form, before_form
from jumpseat.runtime.name_calls import NameCalls, ThreadNames, naming_form
from jumpseat.runtime.options import DebugConfig, check_callable, check_flag, check_number, debug_config
from jumpseat.runtime.registry import AgentRegistry, Agents
from jumpseat.runtime.suggestions import Suggestions
from jumpseat.threads import Threads
from jumpseat.transcription import TranscriptionService

if TYPE_CHECKING:
    from jumpseat.web.app import JumpseatApp
    from jumpseat.web.cors import CorsConfig
    from jumpseat.web.hooks import Hooks
    from jumpseat.web.webhooks import Webhook

__all__ = ["CopilotRuntime", "DebugConfig", "IdentifyUser", "RequestMiddleware"]

IdentifyUser: TypeAlias = Callable[[Request], User | str | Awaitable[User | str | None] | None]
RequestMiddleware: TypeAlias = "Callable[..., Any] | str | Webhook"

AFTER_MIDDLEWARE_LIMIT = 1000
DAY = 86400

_logger = logging.getLogger("jumpseat")
_NOT_YET = ("a2ui", "mcp_apps", "open_generative_ui", "realtime", "intelligence")


class CopilotRuntime:
    """Serves agents to copilot front ends: finds the agent, runs it, keeps its threads.

    Each option can be read as an attribute of the same name. A wrong one raises ``ConfigurationError``,
    which names it. Serve it with ``app()``; where no server starts and stops it, use ``async with runtime:``.

    Args:
        agents: A mapping of id to agent; an awaitable of one; or a sync or async function of the request
            that returns one. An agent is an ``Agent``, an object with ``run(input, context)``, or an async
            generator function of ``(input, context)``.
        runner: Where runs and threads live; in memory by default.
        identify_user: A sync or async function of the request that returns a ``User``, a user id, or
            ``None`` to refuse. Without it all callers share one set of threads.
        transcription_service: Turns recordings into text.
        before_request_middleware: A function, a webhook URL or a ``Webhook``, asked before each request.
        after_request_middleware: The same, told after each response.
        a2ui: Not available yet.
        mcp_apps: Not available yet.
        open_generative_ui: Not available yet.
        forward_headers: Which request headers agents get; ``ForwardHeaders()`` by default.
        sse_keep_alive_interval_seconds: Idle seconds before a stream gets a comment; 0 for never.
        debug: ``True`` or ``DebugConfig``: logs, the debug feed, exception texts in error bodies.
        dev: Local development: the debug feed and clearing all threads are open.
        allow_clear_threads: Without ``identify_user``, let anyone clear all threads.
        expose_errors: Whether clients may read exception texts; ``None`` lets agents' through, and
            others' in debug mode.
        max_live_runs: Runs of this process before new ones are refused.
        shutdown_grace_seconds: What live runs get to finish at shutdown.
        thread_names: ``"first_message"`` names a thread after its first message, ``None`` not at all; a sync
            or async function of the thread's messages is asked for a better name after the first run.
        realtime: Not available yet.
        intelligence: Not available yet.
    """

    def __init__(
        self,
        *,
        agents: Agents,
        runner: AgentRunner | None = None,
        identify_user: IdentifyUser | None = None,
        transcription_service: Any = None,
        before_request_middleware: RequestMiddleware | None = None,
        after_request_middleware: RequestMiddleware | None = None,
        a2ui: Any = None,
        mcp_apps: Any = None,
        open_generative_ui: Any = None,
        forward_headers: ForwardHeaders | None = None,
        sse_keep_alive_interval_seconds: float = 15.0,
        debug: bool | DebugConfig = False,
        dev: bool = False,
        allow_clear_threads: bool = False,
        expose_errors: bool | None = None,
        max_live_runs: int | None = None,
        shutdown_grace_seconds: float = 10.0,
        thread_names: ThreadNames = "first_message",
        realtime: Any = None,
        intelligence: Any = None,
    ) -> None:
        self.agents = agents
        self.identify_user = identify_user
        self.transcription_service = transcription_service
        self.before_request_middleware = before_request_middleware
        self.after_request_middleware = after_request_middleware
        self.a2ui = a2ui
        self.mcp_apps = mcp_apps
        self.open_generative_ui = open_generative_ui
        self.forward_headers = forward_headers or ForwardHeaders()
        self.sse_keep_alive_interval_seconds = sse_keep_alive_interval_seconds
        self.debug = debug
        self.dev = dev
        self.allow_clear_threads = allow_clear_threads
        self.expose_errors = expose_errors
        self.max_live_runs = max_live_runs
        self.shutdown_grace_seconds = shutdown_grace_seconds
        self.thread_names = thread_names
        self.realtime = realtime
        self.intelligence = intelligence
        self._runner = runner
        self._check()
        self._own()

    @property
    def runner(self) -> AgentRunner:
        """The runner; the default one is made when it is first asked for."""
        if self._runner is None:
            from jumpseat.runners.in_memory import InMemoryAgentRunner  # noqa: PLC0415

            self._runner = InMemoryAgentRunner()
        return self._runner

    @property
    def has_runner(self) -> bool:
        """Whether a runner was given, or the default one has been made."""
        return self._runner is not None

    def use_runner(self, runner: AgentRunner) -> None:
        """Set the runner of a runtime that was made without one, before its first use.

        Raises ``ConfigurationError`` if it has one already.
        """
        if self._runner is not None:
            raise ConfigurationError("runner: this runtime has one already")
        self._runner = runner
        self._check_runner()

    @property
    def draining(self) -> bool:
        """Whether the runtime takes no new runs any more."""
        return self._lifetime.draining

    async def agents_for(self, request: Request) -> Mapping[str, Agent]:
        """Return the agents that ``request`` may use. Raises whatever an agents function raises."""
        return await self._registry.resolve(request)

    def app(
        self,
        *,
        base_path: str = "",
        mode: Literal["multi-route", "single-route"] = "multi-route",
        cors: bool | CorsConfig = False,
        hooks: Hooks | None = None,
        max_body_bytes: int = 16 * 1024 * 1024,
        allowed_hosts: Sequence[str] | None = None,
    ) -> JumpseatApp:
        """Return an ASGI application that serves this runtime; several may.

        Args:
            base_path: Where it answers below its mount point.
            mode: ``"multi-route"`` (one URL per operation) or ``"single-route"`` (one for all).
            cors: ``True`` for any origin without credentials, or a ``CorsConfig``.
            hooks: Functions around each request.
            max_body_bytes: Largest request body.
            allowed_hosts: The only ``Host`` names it answers, ports ignored; ``*.suffix`` is allowed.

        Raises:
            ConfigurationError: An option has a value that cannot work.
        """
        from jumpseat.web.app import JumpseatApp  # noqa: PLC0415
        from jumpseat.web.settings import app_settings  # noqa: PLC0415

        return JumpseatApp(
            self,
            app_settings(
                base_path=base_path,
                mode=mode,
                cors=cors,
                hooks=hooks,
                max_body_bytes=max_body_bytes,
                allowed_hosts=allowed_hosts,
            ),
        )

    async def start(self) -> None:
        """Open the runner. Idempotent; the first request does it where no server does.

        Raises ``StoreUnavailable``, and ``RunnerClosed`` once the runtime was closed.
        """
        if not self._lifetime.started:
            self._warn_at_start()
        await self._lifetime.start()

    def begin_drain(self) -> None:
        """Refuse new runs from now on, and end live ones after ``shutdown_grace_seconds``.

        Idempotent; callable from any thread and from signal handlers.
        """
        self._lifetime.begin_drain()

    async def wait_draining(self) -> None:
        """Return once the runtime drains. Cancelling loses nothing."""
        await self._lifetime.wait_draining()

    def on_close(self, call: Callable[[], Awaitable[object]]) -> None:
        """Have ``call`` made when the runtime closes, after the last run and the last middleware call."""
        self._lifetime.on_close(call)

    async def aclose(self) -> None:
        """Drain, then close the runner (with the last runtime that uses it) and the agents. Idempotent."""
        await self._lifetime.aclose()

    async def __aenter__(self) -> Self:
        if not self._lifetime.started:
            self._warn_at_start()
        await self._lifetime.hold()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._lifetime.release()

    async def _ready_runner(self) -> AgentRunner:
        await self.start()
        return self.runner

    def _own(self) -> None:
        self.debug_config = debug_config(self.debug)
        self.debug_feed = DebugFeed()
        self.threads = Threads(self._ready_runner)
        self.live_runs = LiveRuns(self.max_live_runs)
        self.suggestions = Suggestions()
        self.after_calls = BackgroundCalls("after_request_middleware", AFTER_MIDDLEWARE_LIMIT)
        self._registry = AgentRegistry(self.agents)
        naming = naming_form(self.thread_names)
        self.name_calls = None if naming is None else NameCalls(naming, self.threads)
        self._lifetime = Lifetime(
            self._followed_runner,
            self._registry,
            self.suggestions,
            self.after_calls,
            grace=self.shutdown_grace_seconds,
        )
        if isinstance(self.transcription_service, TranscriptionService):
            self.on_close(self.transcription_service.aclose)
        if self.name_calls is not None:
            self.on_close(self.name_calls.aclose)

    def _followed_runner(self) -> AgentRunner:
        if self.name_calls is not None:
            self.name_calls.follow(self.runner)
        return self.runner

    def _check(self) -> None:
        for name in _NOT_YET:
            if getattr(self, name) is not None:
                raise ConfigurationError(f"{name} is not available yet: leave it out")
        for name in ("dev", "allow_clear_threads"):
            check_flag(name, getattr(self, name))
        check_flag("expose_errors", self.expose_errors, optional=True)
        check_number("sse_keep_alive_interval_seconds", self.sse_keep_alive_interval_seconds, low=0, high=DAY)
        check_number("shutdown_grace_seconds", self.shutdown_grace_seconds, low=0, high=DAY)
        if self.max_live_runs is not None:
            check_number("max_live_runs", self.max_live_runs, low=1, whole=True)
        check_callable("identify_user", self.identify_user)
        before_form(self.before_request_middleware)
        after_form(self.after_request_middleware)
        if not isinstance(cast("object", self.forward_headers), ForwardHeaders):
            raise ConfigurationError("forward_headers must be ForwardHeaders(...)")
        naming_form(self.thread_names)
        service = self.transcription_service
        if service is not None and not callable(getattr(service, "transcribe_file", None)):
            raise ConfigurationError("transcription_service must have an async transcribe_file(audio)")
        self._check_runner()

    def _check_runner(self) -> None:
        runner = cast("object", self._runner)
        if runner is not None and not isinstance(runner, AgentRunner):
            raise ConfigurationError(f"runner must be an AgentRunner, not {type(runner).__name__}")

    def _warn_at_start(self) -> None:
        if self.identify_user is None and not self.dev:
            _logger.warning(
                "identify_user is not set: all callers share one set of threads. "
                "Set it to give each user their own"
            )
