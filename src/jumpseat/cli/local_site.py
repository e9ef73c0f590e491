"""What `jumpseat dev` puts on one origin: the API below its path, the chat page everywhere else."""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send

__all__ = ["LocalSite"]


class LocalSite:
    """Sends requests at or below ``api_path`` to the API and all others to the page."""

    def __init__(self, *, api: ASGIApp, api_path: str, page: ASGIApp) -> None:
        self._api = api
        self._api_path = api_path
        self._page = page

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        path: str = scope.get("path", "")
        is_api = path == self._api_path or path.startswith(self._api_path + "/")
        # Preflights of paths that do not exist are the API's to answer: it knows the rules.
        to_api = is_api or scope["type"] != "http" or scope["method"] == "OPTIONS"
        await (self._api if to_api else self._page)(scope, receive, send)
