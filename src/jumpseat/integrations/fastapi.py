"""Mounting a runtime in a FastAPI application."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jumpseat.integrations import starlette
from jumpseat.integrations.starlette import runtime_lifespan
from jumpseat.runtime import CopilotRuntime

if TYPE_CHECKING:
    from fastapi import FastAPI

__all__ = ["mount", "runtime_lifespan"]


def mount(app: FastAPI, path: str, runtime: CopilotRuntime, **options: Any) -> None:
    """Serve ``runtime`` below ``path``; see ``jumpseat.integrations.starlette.mount``."""
    starlette.mount(app, path, runtime, **options)
