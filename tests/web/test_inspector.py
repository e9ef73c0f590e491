"""The routes of things that this runtime does not have."""

import pytest

from jumpseat.runtime import CopilotRuntime
from web.live import client_of


async def agent(given, context):
    yield {"type": "CUSTOM", "name": "n", "value": 1}


@pytest.mark.parametrize(
    ("method", "path", "status", "body", "cache"),
    [
        ("GET", "/inspector-metadata", 204, b"", "no-store, private"),
        ("GET", "/inspector-learning", 404, b'{"error":"Not found"}', "no-store, private"),
        (
            "POST",
            "/annotate",
            422,
            b'{"error":"Annotations are not available on this runtime"}',
            "no-store",
        ),
        ("GET", "/memories", 404, b'{"error":"Not found"}', "no-store"),
        ("POST", "/memories/x", 404, b'{"error":"Not found"}', "no-store"),
    ],
)
async def test_what_is_not_there_is_answered_as_clients_expect(method, path, status, body, cache):
    async with client_of(CopilotRuntime(agents={"a": agent}).app()) as client:
        answer = await client.request(method, path)
        assert (answer.status_code, answer.content) == (status, body)
        assert answer.headers["cache-control"] == cache
