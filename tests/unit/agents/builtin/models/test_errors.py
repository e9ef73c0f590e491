import logging
from typing import Any

import pytest

from jumpseat.agents.builtin.failures import AgentFailure, provider_failure
from jumpseat.agents.builtin.language_model import ModelSettings
from jumpseat.agents.builtin.models.resolving import configured_model
from jumpseat.agents.builtin.redaction import Redactor
from mock_provider import TEST_KEY, MockProvider
from model_requests import SPECS, answered, asked

ONCE = ModelSettings(max_retries=0)
ERRORS = {
    401: ("Incorrect API key provided: sk-abc.", "authentication_error"),
    403: ("You may not use this model.", "authentication_error"),
    429: ("Slow down, please.", "rate_limit"),
    408: ("That took too long.", "timeout"),
    400: ("The field 'x' is wrong.", "invalid_request"),
    404: ("There is no such model.", "invalid_request"),
    500: ("Something broke.", "provider_error"),
    503: ("We are overloaded.", "provider_error"),
    504: ("The gateway gave up.", "timeout"),
}
TOO_LONG = {
    "openai": ("Your input exceeds the context window.", "context_length_exceeded"),
    "openai-chat": ("This model's maximum context length is 8192 tokens.", None),
    "anthropic": ("prompt is too long: 213000 tokens > 200000 maximum", None),
    "google": ("The input token count (1) exceeds the maximum number of tokens allowed (0).", None),
}


def body(name: str, status: int, message: str, code: str | None = None) -> Any:
    """An error as each provider words it."""
    if name == "anthropic":
        kinds = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error", 400: "x"}
        return {"type": "error", "error": {"type": kinds.get(status, "api_error"), "message": message}}
    if name == "google":
        words = {
            401: "UNAUTHENTICATED",
            403: "PERMISSION_DENIED",
            429: "RESOURCE_EXHAUSTED",
            504: "UNAVAILABLE",
        }
        return {
            "error": {"code": status, "message": message, "status": words.get(status, "INVALID_ARGUMENT")}
        }
    return {"error": {"message": message, "type": "some_error", "param": None, "code": code}}


async def failure(model: Any, **request: Any) -> AgentFailure:
    request = {"settings": ONCE, **request}
    with pytest.raises(Exception) as raised:
        await answered(model, asked("hi", **request))
    return provider_failure(raised.value)


@pytest.mark.parametrize("status", ERRORS)
@pytest.mark.parametrize("name", SPECS)
async def test_a_refusal_has_the_providers_text_and_its_code(
    name: str, status: int, provider: MockProvider, connect: Any
):
    message, code = ERRORS[status]
    provider.answer_once(status, body(name, status, message))
    failed = await failure(await connect(SPECS[name]))
    assert (failed.code, failed.message) == (code, message)
    assert len(provider.requests) == 1
    assert "sk-" not in Redactor([TEST_KEY])(failed.message)


@pytest.mark.parametrize("name", SPECS)
async def test_a_conversation_that_is_too_long_is_told_from_a_wrong_one(
    name: str, provider: MockProvider, connect: Any
):
    message, code = TOO_LONG[name]
    provider.answer_once(400, body(name, 400, message, code))
    failed = await failure(await connect(SPECS[name]))
    assert (failed.code, failed.message) == ("context_length", message)


@pytest.mark.parametrize("name", SPECS)
async def test_an_answer_that_breaks_off_is_a_failure(name: str, provider: MockProvider, connect: Any):
    provider.add({"match": {}, "response": {"content": "One two three " * 50}, "truncateAfterChunks": 6})
    failed = await failure(await connect(SPECS[name]))
    assert failed.code == "provider_error"
    assert failed.message
    assert len(provider.requests) == 1


@pytest.mark.parametrize("name", SPECS)
@pytest.mark.parametrize("sent", [b"<html><body>Bad gateway</body></html>", b"{broken", b"data: {broken\n\n"])
async def test_a_malformed_answer_is_a_failure(name: str, sent: bytes, provider: MockProvider, connect: Any):
    stream = [sent] if sent.startswith(b"data:") else None
    provider.answer_once(200, sent, stream=stream)
    try:
        parts = await answered(await connect(SPECS[name]), asked("hi", settings=ONCE))
    except Exception as error:
        failed = provider_failure(error)
        assert failed.code == "provider_error"
        assert "<html" not in failed.message
    else:
        # Some libraries skip what is no event: no end is invented for it.
        assert parts == []


@pytest.mark.parametrize("name", SPECS)
async def test_an_error_page_of_a_proxy_is_not_shown(name: str, provider: MockProvider, connect: Any):
    page = b"<html><head><title>502</title></head><body>nginx at 10.1.2.3</body></html>"
    provider.answer_once(502, page, headers={"content-type": "text/html"})
    failed = await failure(await connect(SPECS[name]))
    assert failed.code == "provider_error"
    assert "nginx" not in failed.message
    assert "status_code" not in failed.message


@pytest.mark.parametrize("name", SPECS)
async def test_a_refused_connection_is_a_failure(name: str, connect: Any, monkeypatch: pytest.MonkeyPatch):
    for variable in ("OPENAI_BASE_URL", "ANTHROPIC_BASE_URL", "GOOGLE_GENERATIVE_AI_BASE_URL"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")
    failed = await failure(await connect(SPECS[name]))
    assert failed.code == "provider_error"


@pytest.mark.parametrize("name", SPECS)
async def test_a_silent_provider_runs_into_the_timeout(name: str, provider: MockProvider, connect: Any):
    provider.answer_once(200, stream=[], end="hang")
    settings = ModelSettings(max_retries=0, timeout=0.3)
    failed = await failure(await connect(SPECS[name]), settings=settings)
    assert failed.code == "timeout"


@pytest.mark.parametrize("name", SPECS)
async def test_a_request_is_repeated_only_before_its_answer_begins(
    name: str, provider: MockProvider, connect: Any
):
    provider.say("At last.")
    provider.answer_once(500, body(name, 500, "once"), headers={"retry-after-ms": "1"})
    await answered(await connect(SPECS[name]), asked("hi", settings=ModelSettings(max_retries=1)))
    assert len(provider.requests) == 2


async def test_a_server_that_only_knows_chat_completions_is_hinted_at_in_the_log(
    provider: MockProvider, connect: Any, caplog: pytest.LogCaptureFixture
):
    provider.answer_once(404, {"error": {"message": "no route"}})
    with caplog.at_level(logging.WARNING, "jumpseat"):
        failed = await failure(await connect("openai/local-model"))
    assert failed.code == "invalid_request"
    assert "openai-chat" not in failed.message
    assert "openai-chat/local-model" in caplog.text


@pytest.mark.parametrize("name", SPECS)
async def test_a_failure_within_the_stream_has_its_code(name: str, provider: MockProvider, connect: Any):
    events = {
        "openai": b'event: error\ndata: {"type":"error","sequence_number":1,"code":"rate_limit_exceeded",'
        b'"message":"Slow down.","param":null}\n\n',
        "openai-chat": b'data: {"error":{"message":"Slow down.","type":"rate_limit_error","code":"x"}}\n\n',
        "anthropic": b'event: error\ndata: {"type":"error","error":{"type":"rate_limit_error",'
        b'"message":"Slow down."}}\n\n',
        "google": b'data: {"error":{"code":429,"message":"Slow down.","status":"RESOURCE_EXHAUSTED"}}\n\n',
    }
    provider.answer_once(200, stream=[events[name]])
    failed = await failure(await connect(SPECS[name]))
    assert (failed.code, failed.message) == ("rate_limit", "Slow down.")


@pytest.mark.parametrize("name", SPECS)
async def test_a_key_that_a_provider_echoes_stays_here(
    name: str, provider: MockProvider, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    provider.use(monkeypatch)
    key = "very-secret-value-42"
    provider.answer_once(401, body(name, 401, f"Incorrect API key provided: {key}."))
    configured = configured_model(SPECS[name], api_key=key)
    with caplog.at_level(logging.DEBUG, "jumpseat"):
        failed = await failure(await configured.language_model())
    await configured.aclose()
    assert key in provider.requests[0].text
    assert Redactor(configured.secrets())(failed.message) == "Incorrect API key provided: [redacted]."
    assert not any(
        key in record.getMessage() for record in caplog.records if record.name.startswith("jumpseat")
    )
