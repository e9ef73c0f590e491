"""The mock of the providers itself: what the tests that use it rely on."""

import asyncio
import json

import pytest

from mock_provider import TEST_KEY, MockProvider

HELLO = {"role": "user", "content": "hello"}
REQUESTS = {
    "/v1/chat/completions": {"model": "m", "messages": [HELLO], "stream": True},
    "/v1/responses": {"model": "m", "input": [HELLO], "stream": True},
    "/v1/messages": {"model": "m", "messages": [HELLO], "stream": True, "max_tokens": 100},
    "/v1beta/models/m:streamGenerateContent?alt=sse": {
        "contents": [{"role": "user", "parts": [{"text": "hello"}]}]
    },
}


async def post(provider: MockProvider, path: str, body: object) -> tuple[int, str]:
    port = int(provider.origin.rsplit(":", 1)[1])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    sent = json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
    head += f"content-length: {len(sent)}\r\nauthorization: Bearer {TEST_KEY}\r\n\r\n"
    writer.write(head.encode() + sent)
    try:
        answer = (await reader.read()).decode()
    finally:
        writer.close()
    return int(answer.split(" ")[1]), answer


@pytest.mark.parametrize("path", REQUESTS)
async def test_one_fixture_answers_every_provider(provider: MockProvider, path: str):
    provider.add({"match": {"userMessage": "hello"}, "response": {"content": "Hi there, friend."}})
    status, answer = await post(provider, path, REQUESTS[path])
    assert status == 200
    assert "Hi there" in answer
    assert [request.path for request in provider.requests] == [path]
    assert provider.requests[0].headers["authorization"] == f"Bearer {TEST_KEY}"
    assert provider.requests[0].json == REQUESTS[path]
    assert provider.journal()[0]["body"]["messages"][-1]["content"] == "hello"


async def test_nothing_is_answered_that_no_fixture_matches(provider: MockProvider):
    status, _ = await post(provider, "/v1/chat/completions", REQUESTS["/v1/chat/completions"])
    assert status >= 400


async def test_an_answer_of_its_own_is_given_once(provider: MockProvider):
    provider.say("from the mock")
    provider.answer_once(418, {"error": "teapot"})
    path = "/v1/chat/completions"
    assert (await post(provider, path, REQUESTS[path]))[0] == 418
    assert (await post(provider, path, REQUESTS[path]))[0] == 200


async def test_hanging_up_is_noticed(provider: MockProvider):
    provider.answer_once(200, stream=[b"data: {}\n\n"], end="hang")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await post(provider, "/v1/responses", REQUESTS["/v1/responses"])
    (request,) = await provider.seen()
    assert await asyncio.to_thread(request.hung_up.wait, 1.0)
