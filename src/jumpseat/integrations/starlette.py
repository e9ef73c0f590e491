"""Mounting a runtime in a Starlette application."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.routing import Match, Mount
from starlette.types import Scope

from jumpseat.runtime import CopilotRuntime

__all__ = ["RuntimeMount", "mount", "runtime_lifespan"]


class RuntimeMount(Mount):
    """A mount that answers its bare path too.

    The framework would redirect there, and browsers do not follow a redirect of a cross-origin POST.
    """

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Match the path with and without a trailing slash."""
        if scope["type"] == "http" and scope["path"] == scope.get("root_path", "") + self.path:
            scope = {**scope, "path": scope["path"] + "/"}
        return super().matches(scope)


def mount(app: Starlette, path: str, runtime: CopilotRuntime, **options: Any) -> None:
    """Serve ``runtime`` below ``path``.

    Mounted applications get no lifespan: give the outer one ``runtime_lifespan(runtime)``, or close the
    runtime in your own.

    Args:
        app: The application.
        path: Such as ``"/api/copilotkit"``.
        runtime: What to serve.
        **options: Those of ``CopilotRuntime.app``.
    """
    app.router.routes.append(RuntimeMount(path, app=runtime.app(**options)))


def runtime_lifespan(runtime: CopilotRuntime) -> Callable[[Any], AbstractAsyncContextManager[None]]:
    """Return a ``lifespan`` for an application that has no other: it starts and closes the runtime."""

    @asynccontextmanager
    async def lifespan(app: Any) -> AsyncGenerator[None]:
        async with runtime:
            yield

    return lifespan
