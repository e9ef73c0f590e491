"""Serves the chat page that comes with the package, or says how to get it."""

from __future__ import annotations

import asyncio
import html
import re
from pathlib import Path
from typing import Final

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Receive, Scope, Send

__all__ = ["ChatPage"]

_FOLDER: Final = Path(__file__).parent / "page"

# The types of the files a build makes: what the machine's own tables say differs from place to place.
_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".ico": "image/x-icon",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".map": "application/json",
    ".mjs": "text/javascript; charset=utf-8",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".ttf": "font/ttf",
    ".txt": "text/plain; charset=utf-8",
    ".wasm": "application/wasm",
    ".webp": "image/webp",
    ".woff": "font/woff",
    ".woff2": "font/woff2",
}

_MISSING: Final = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Jumpseat</title>
<style>
  body {{ font: 17px/1.6 system-ui, sans-serif; max-width: 38rem; margin: 12vh auto; padding: 0 1.5rem;
         color: #1c1b19; background: #faf8f5; }}
  code {{ background: #0001; padding: .1em .4em; border-radius: .3em; }}
  @media (prefers-color-scheme: dark) {{
    body {{ color: #eceae6; background: #171614; }}
    code {{ background: #fff2; }}
  }}
</style>
<h1>The runtime is up; this copy of Jumpseat has no chat page</h1>
<p>The page is built from a clone, with <a href="https://nodejs.org">Node.js</a> 20 or newer.</p>
<ul>
<li>When the server runs from the clone (<code>make run</code>, <code>pip install -e</code>): run
<code>make page</code> there and load this page again. The server can stay as it is.</li>
<li>When Jumpseat was installed by <code>pip install</code>: run <code>make page</code> in a clone, then
<code>pip install --force-reinstall --no-deps .</code> there, and load this page again.</li>
</ul>
<p>The API does not need the page. It answers at <code>{api}</code>, for example
<a href="{api}/info">{api}/info</a>.</p>
</html>
"""


class ChatPage:
    """An ASGI application for the page at ``/``.

    Any other path that a browser opens leads back to ``/``; the page keeps its place in the URL's fragment.

    Args:
        api_path: Where the page finds the runtime, a path on the same origin.
        demo: Whether the page shall say that a demo agent answers.
        model: The model that the page shall say answers.
        folder: The built page.
    """

    def __init__(self, *, api_path: str, demo: bool, model: str = "", folder: Path = _FOLDER) -> None:
        self._api_path = api_path
        self._demo = demo
        self._model = model
        self._folder = folder
        self._files = StaticFiles(directory=folder, check_dir=False)

    @property
    def is_built(self) -> bool:
        """Whether there is a page to serve at this moment."""
        return (self._folder / "index.html").is_file()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        path = scope["path"]
        if scope["method"] not in ("GET", "HEAD"):
            response: Response = Response("Method not allowed", 405, headers={"Allow": "GET, HEAD"})
        elif path == "/":
            response = await asyncio.to_thread(self._index)
        elif _is_navigation(path, Headers(scope=scope)):
            response = RedirectResponse("/")
        else:
            response = await self._file(path, scope)
        response.headers.setdefault("Cache-Control", "no-store")
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Content-Security-Policy"] = "frame-ancestors 'none'"
        await response(scope, receive, send)

    def _index(self) -> Response:
        # Read each time: a page that was built after the start is shown without a restart.
        try:
            page = (self._folder / "index.html").read_text(encoding="utf-8")
        except FileNotFoundError:
            return HTMLResponse(_MISSING.format(api=html.escape(self._api_path)), 503)
        page = _with_meta(page, "jumpseat-runtime-url", self._api_path)
        page = _with_meta(page, "jumpseat-demo", "true" if self._demo else "")
        return HTMLResponse(_with_meta(page, "jumpseat-model", self._model))

    async def _file(self, path: str, scope: Scope) -> Response:
        kind = _TYPES.get(Path(path).suffix)
        try:
            response = await self._files.get_response(path.lstrip("/"), scope) if kind else None
        except HTTPException:
            response = None
        if kind is None or response is None:
            return Response("Not found", 404, media_type="text/plain")
        response.headers["Content-Type"] = kind
        # Names of built assets change with their content.
        lasting = path.startswith("/assets/")
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable" if lasting else "no-cache"
        return response


def _is_navigation(path: str, headers: Headers) -> bool:
    is_file = Path(path).suffix in _TYPES
    return path == "/index.html" or (not is_file and "text/html" in headers.get("accept", ""))


def _with_meta(page: str, name: str, content: str) -> str:
    pattern = rf'(<meta\s+name="{re.escape(name)}"\s+content=")[^"]*(")'
    return re.sub(pattern, lambda found: found[1] + html.escape(content) + found[2], page)
