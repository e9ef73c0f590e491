"""Requests that hooks change."""

import pytest
from starlette.requests import Request

from jumpseat.web.body import BodyTooLarge, ReplayableRequest, RequestBody
from jumpseat.web.requests import replace_request


def scope(method: str = "POST", **headers: str) -> dict:
    raw = [(name.replace("_", "-").encode(), value.encode("latin-1")) for name, value in headers.items()]
    return {
        "type": "http",
        "method": method,
        "path": "/",
        "query_string": b"a=1",
        "headers": raw,
        "state": {},
    }


def receiving(*chunks: bytes):
    messages = [
        {"type": "http.request", "body": chunk, "more_body": number < len(chunks) - 1}
        for number, chunk in enumerate(chunks)
    ]

    async def receive():
        return messages.pop(0) if messages else {"type": "http.disconnect"}

    return receive


def replayable(*chunks: bytes, limit: int = 100, **headers: str) -> ReplayableRequest:
    return ReplayableRequest(scope(**headers), RequestBody(receiving(*chunks), limit=limit))


async def test_headers_are_set_and_removed_whatever_their_case():
    changed = replace_request(
        replayable(b"", x_a="1", x_b="2", x_c="3"), headers={"X-A": "new"}, remove_headers=["X-B"]
    )
    assert dict(changed.headers) == {"x-c": "3", "x-a": "new"}


async def test_the_original_keeps_its_headers_and_both_read_the_same_body():
    original = replayable(b"on", b"ce", x_a="1")
    changed = replace_request(original, headers={"x-a": "2"})
    assert original.headers["x-a"] == "1"
    assert await changed.body() == await original.body() == b"once"


async def test_a_body_read_before_the_change_is_still_there_after_it():
    original = replayable(b"once")
    assert await original.body() == b"once"
    changed = replace_request(original, headers={"x": "y"})
    assert await changed.body() == b"once"
    assert await Request(changed.scope, changed.receive).body() == b"once"


async def test_a_plain_starlette_request_whose_body_was_read_keeps_it_too():
    original = Request(scope(), receiving(b"once"))
    assert await original.body() == b"once"
    assert await replace_request(original, headers={"x": "y"}).body() == b"once"


async def test_a_json_body_brings_its_type_and_its_length():
    original = replayable(b"old", content_type="text/plain", content_length="3", transfer_encoding="chunked")
    changed = replace_request(original, body={"ü": [1, None]})
    assert await changed.json() == {"ü": [1, None]}
    assert dict(changed.headers) == {"content-type": "application/json", "content-length": "15"}
    assert changed.headers["content-length"] == str(len(await changed.body()))


async def test_bytes_and_text_are_sent_as_they_are_under_the_old_type():
    for body in (b"n\xc3\xbcw", "nüw"):
        changed = replace_request(replayable(b"old", content_type="text/plain"), body=body)
        assert await changed.body() == "nüw".encode()
        assert changed.headers["content-type"] == "text/plain"


async def test_an_empty_body_replaces_too():
    assert await replace_request(replayable(b"old"), body=b"").body() == b""


async def test_the_method_is_changed_and_everything_else_stays():
    original = replayable(b"")
    original.state.mine = 1
    changed = replace_request(original, method="patch")
    assert (changed.method, changed.url.query, changed.state.mine) == ("PATCH", "a=1", 1)
    assert original.method == "POST"


async def test_the_limit_of_the_body_stays_when_only_headers_change():
    changed = replace_request(replayable(b"x" * 101), headers={"x": "y"})
    with pytest.raises(BodyTooLarge):
        await changed.body()


@pytest.mark.parametrize("headers", [{"a b": "c"}, {"a": "b\r\nc: d"}, {"": "x"}, {"a": "€"}])
async def test_a_header_that_cannot_be_sent_is_refused(headers):
    with pytest.raises(ValueError, match="cannot be sent"):
        replace_request(replayable(b""), headers=headers)
