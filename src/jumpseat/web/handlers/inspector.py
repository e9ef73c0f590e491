"""The routes of the vendor's inspector and of annotations, which this runtime does not have."""

from __future__ import annotations

from starlette.responses import Response

from jumpseat.web.call import Call
from jumpseat.web.responses import empty_response, error_response

__all__ = ["annotate", "inspector_learning", "inspector_metadata"]

_PRIVATE = {"Cache-Control": "no-store, private"}


async def inspector_metadata(_: Call) -> Response:
    """Answer 204: there is no metadata."""
    return empty_response(_PRIVATE)


async def inspector_learning(_: Call) -> Response:
    """Answer 404: there is no learning."""
    return error_response(404, "Not found", headers=_PRIVATE)


async def annotate(_: Call) -> Response:
    """Answer 422: annotations are not kept."""
    return error_response(422, "Annotations are not available on this runtime")
