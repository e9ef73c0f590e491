"""What a failure of a transcription service means, and the service for OpenAI-compatible servers."""

import asyncio
import socket

import httpx2
import pytest
from starlette.datastructures import Headers
from starlette.formparsers import MultiPartParser

from jumpseat.errors import ConfigurationError, TranscriptionError
from jumpseat.transcription import (
    OpenAITranscriptionService,
    ProviderRefused,
    TranscriptionFile,
    TranscriptionService,
    failure_code,
)
from upstream import Exchange, upstream

AUDIO = TranscriptionFile(data=b"\x00\x01sound", filename="recording.webm", mime_type="audio/webm")


class Failure(Exception):
    """An exception with whatever attributes a library gives it."""

    def __init__(self, text: str = "", **attributes: object) -> None:
        super().__init__(text)
        for name, value in attributes.items():
            setattr(self, name, value)


class AuthenticationRateError(Exception):
    """A name that says nothing, because only the message is read."""


def sdk_error(package: str, name: str) -> Exception:
    """A subclass of an exception that a package which is not installed here would raise."""
    base = type(name, (Exception,), {"__module__": f"{package}._exceptions"})
    return type("Specific", (base,), {})("x")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (TranscriptionError("audio_too_short", "hm"), "audio_too_short"),
        (Failure("unauthorized", status_code=429), "rate_limited"),
        (Failure("rate", status_code=401), "auth_failed"),
        (Failure("rate", status=403), "auth_failed"),
        (Failure(status_code=413), "audio_too_long"),
        (Failure(status_code=408), "network_error"),
        (Failure(status_code=504), "network_error"),
        (Failure("too many", status_code=500), "provider_error"),
        (Failure("unauthorized", response=Failure(status_code=503)), "provider_error"),
        (Failure(response=Failure(status=429)), "rate_limited"),
        (Failure("audio too long", status_code=400), "audio_too_long"),
        (Failure("hm", status_code=422), "provider_error"),
        (Failure("rate", status_code=True), "rate_limited"),
        (Failure("hm", status_code="429"), "provider_error"),
        (TimeoutError("rate"), "network_error"),
        (ConnectionResetError(), "network_error"),
        (socket.gaierror(), "network_error"),
        (httpx2.ReadTimeout("x"), "network_error"),
        (httpx2.ConnectError("x"), "network_error"),
        (httpx2.RemoteProtocolError("x"), "network_error"),
        (sdk_error("openai", "APIConnectionError"), "network_error"),
        (sdk_error("openai", "InternalServerError"), "provider_error"),
        (sdk_error("somewhere", "APIConnectionError"), "provider_error"),
        (Failure("generate failed"), "provider_error"),
        (Failure("author unknown"), "provider_error"),
        (Failure("audio too long"), "audio_too_long"),
        (Failure("rate exceeded"), "rate_limited"),
        (Failure("Got 429."), "rate_limited"),
        (Failure("TOO MANY requests"), "rate_limited"),
        (Failure("bad API key!"), "auth_failed"),
        (Failure("401"), "auth_failed"),
        (Failure("auth"), "auth_failed"),
        (Failure("maximum duration"), "audio_too_long"),
        (Failure("content-length"), "audio_too_long"),
        (Failure("strength, authored 4290, lengthy"), "provider_error"),
        (AuthenticationRateError("no"), "provider_error"),
        (Failure(""), "provider_error"),
    ],
)
def test_the_surest_sign_decides_what_a_failure_is(error, code):
    assert failure_code(error) == code


async def transcribed(script, **options):
    async with asyncio.timeout(20), upstream(script) as server:
        base = server.url.removesuffix("/agent") + "/v1/"
        service = OpenAITranscriptionService(base_url=base, **options)
        try:
            return await service.transcribe_file(AUDIO), server.exchanges
        finally:
            await service.aclose()


def answering(status: int, body: bytes):
    async def script(exchange: Exchange) -> None:
        await exchange.answer(status, body, Content_Type="application/json")

    return script


async def form_of(exchange: Exchange):
    async def body():
        yield exchange.body

    raw = [(name.lower().encode(), value.encode()) for name, value in exchange.headers]
    return await MultiPartParser(Headers(raw=raw), body()).parse()


async def test_the_recording_is_posted_as_a_form_and_the_text_comes_back():
    text, (exchange,) = await transcribed(
        answering(200, '{"text":"Grüße"}'.encode()), api_key="sk-1", model="m", language="de", prompt="Zoë"
    )
    assert text == "Grüße"
    assert (exchange.method, exchange.target) == ("POST", "/v1/audio/transcriptions")
    assert exchange.values("authorization") == ["Bearer sk-1"]
    form = await form_of(exchange)
    assert (form["model"], form["language"], form["prompt"]) == ("m", "de", "Zoë")
    assert (form["file"].filename, form["file"].content_type) == ("recording.webm", "audio/webm")
    assert await form["file"].read() == AUDIO.data
    await form.close()


async def test_nothing_is_sent_that_was_not_configured(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    _, (exchange,) = await transcribed(answering(200, b'{"text":""}'))
    form = await form_of(exchange)
    assert set(form) == {"model", "file"}
    assert form["model"] == "whisper-1"
    assert exchange.values("authorization") == []
    await form.close()


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        (401, b'{"error":"bad key"}', "auth_failed"),
        (429, b"", "rate_limited"),
        (400, b'{"error":"audio too long"}', "audio_too_long"),
        (400, b'{"error":"bad format"}', "provider_error"),
        (307, b"", "provider_error"),
        (200, b"no json", "provider_error"),
        (200, b'{"text":5}', "provider_error"),
        (200, b"[]", "provider_error"),
    ],
)
async def test_a_refusal_has_the_code_of_its_cause(status, body, code):
    with pytest.raises(ProviderRefused) as caught:
        await transcribed(answering(status, body), api_key="k")
    assert failure_code(caught.value) == code


@pytest.mark.parametrize("key", ["our-own-key", "sk-of-somebody-else"])
@pytest.mark.parametrize("status", [401, 200])
async def test_a_key_that_the_provider_repeats_is_in_no_text(status, key):
    body = ("." * 495 + " " + key).encode()
    with pytest.raises(ProviderRefused) as caught:
        await transcribed(answering(status, body), api_key="our-own-key")
    assert key[:4] not in str(caught.value)


async def test_a_silent_provider_is_given_up_as_a_network_error():
    async def script(exchange: Exchange) -> None:
        await exchange.wait_closed()

    with pytest.raises((TimeoutError, httpx2.TimeoutException)) as caught:
        await transcribed(script, api_key="k", timeout=0.2)
    assert failure_code(caught.value) == "network_error"


async def test_a_provider_that_is_not_there_is_a_network_error():
    async with upstream(answering(200, b"")) as server:
        pass
    service = OpenAITranscriptionService("k", base_url=server.url)
    with pytest.raises(httpx2.ConnectError) as caught:
        await service.transcribe_file(AUDIO)
    await service.aclose()
    assert failure_code(caught.value) == "network_error"


async def test_an_endless_answer_is_cut():
    async def script(exchange: Exchange) -> None:
        await exchange.open_stream("application/json")
        while True:
            await exchange.chunk(b" " * 65536)

    with pytest.raises(ProviderRefused, match="more than"):
        await transcribed(script, api_key="k")


def test_openai_itself_needs_a_key_from_the_argument_or_the_environment(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(ConfigurationError, match="OPENAI_API_KEY"):
        OpenAITranscriptionService()
    OpenAITranscriptionService("sk-1")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-2")
    OpenAITranscriptionService()


@pytest.mark.parametrize(
    "options", [{"base_url": "x"}, {"timeout": 0}, {"timeout": True}, {"api_key": "a\r\nb: c"}]
)
def test_what_cannot_work_is_refused_at_construction(options):
    with pytest.raises(ConfigurationError, match="OpenAITranscriptionService"):
        OpenAITranscriptionService(**{"api_key": "k", **options})


async def test_a_service_needs_nothing_but_its_one_method():
    class Echo(TranscriptionService):
        async def transcribe_file(self, audio: TranscriptionFile) -> str:
            return f"{audio.size} bytes"

    echo = Echo()
    assert await echo.transcribe_file(AUDIO) == "7 bytes"
    await echo.aclose()
