"""The transcription route: recordings in both forms, wrong requests, and services that fail."""

import asyncio
import base64
from contextlib import asynccontextmanager

import httpx2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jumpseat.errors import ConfigurationError, TranscriptionError
from jumpseat.runtime import CopilotRuntime
from jumpseat.transcription import TranscriptionFile, TranscriptionService
from web.live import client_of

SOUND = bytes(range(256))
TYPES = ["mpeg", "mp3", "mp4", "wav", "webm", "ogg", "flac", "aac"]
UNSUPPORTED = (
    "Unsupported audio format: {}. Supported: audio/mpeg, audio/mp3, audio/mp4, audio/wav, audio/webm, "
    "audio/ogg, audio/flac, audio/aac"
)


class Recorder(TranscriptionService):
    """Keeps what it is given; answers, or raises what it was made with."""

    def __init__(self, outcome: object = "Grüße") -> None:
        self.outcome = outcome
        self.given: list[TranscriptionFile] = []

    async def transcribe_file(self, audio: TranscriptionFile) -> str:
        self.given.append(audio)
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome


async def agent(given, context):
    yield {"type": "CUSTOM", "name": "n", "value": 1}


@asynccontextmanager
async def client_with(service, *, max_body_bytes: int = 1 << 20, **options):
    runtime = CopilotRuntime(agents={"a": agent}, transcription_service=service, **options)
    try:
        async with client_of(runtime.app(max_body_bytes=max_body_bytes)) as client:
            yield client
    finally:
        await runtime.aclose()


async def post_form(client, data: bytes = SOUND, kind: str | None = "audio/webm", name: str = "a.webm"):
    return await client.post("/transcribe", files={"audio": (name, data, kind)})


async def post_json(client, data: bytes = SOUND, kind: str = "audio/webm", **fields):
    audio = base64.b64encode(data).decode()
    return await client.post("/transcribe", json={"audio": audio, "mimeType": kind, **fields})


def part(headers: str, data: bytes = SOUND) -> tuple[bytes, str]:
    """A form with one part, written by hand."""
    body = b"--b\r\n" + headers.encode() + b"\r\n\r\n" + data + b"\r\n--b--\r\n"
    return body, "multipart/form-data; boundary=b"


def error(code: str, message: str, *, retryable: bool = False) -> dict:
    return {"error": code, "message": message, "retryable": retryable}


@pytest.mark.parametrize("post", [post_form, post_json])
@pytest.mark.parametrize("kind", TYPES)
async def test_every_supported_type_is_transcribed_in_both_forms(post, kind):
    async with client_with(service := Recorder()) as client:
        for written in (f"audio/{kind}", f"AUDIO/{kind.upper()};codecs=opus"):
            answer = await post(client, kind=written)
            assert answer.status_code == 200
            assert answer.json() == {"text": "Grüße", "size": 256, "type": f"audio/{kind}"}
            assert answer.headers["cache-control"] == "no-store"
        assert {(audio.data, audio.mime_type, audio.size) for audio in service.given} == {
            (SOUND, f"audio/{kind}", 256)
        }


@pytest.mark.parametrize(
    "headers",
    [
        'Content-Disposition: form-data; name="audio"; filename="x.bin"',
        'Content-Disposition: form-data; name="audio"; filename="x.bin"\r\nContent-Type:',
        (
            'Content-Disposition: form-data; name="audio"; filename="x.bin"\r\n'
            "Content-Type: application/octet-stream"
        ),
    ],
)
async def test_a_part_that_does_not_say_its_type_is_taken_for_webm(headers):
    body, kind = part(headers)
    async with client_with(service := Recorder()) as client:
        answer = await client.post("/transcribe", content=body, headers={"content-type": kind})
        assert answer.json() == {"text": "Grüße", "size": 256, "type": "audio/webm"}
        assert service.given[0].filename == "x.bin"


async def test_a_recording_in_json_may_have_an_unnamed_type():
    async with client_with(Recorder()) as client:
        answer = await post_json(client, kind="application/octet-stream")
        assert answer.json() == {"text": "Grüße", "size": 256, "type": "application/octet-stream"}


@pytest.mark.parametrize("content_type", ["Multipart/Form-Data", "APPLICATION/JSON ; charset=utf-8"])
async def test_the_type_of_the_request_is_read_whatever_its_case(content_type):
    async with client_with(Recorder()) as client:
        if content_type.startswith("M"):
            body, kind = part('Content-Disposition: form-data; name="audio"; filename="a"')
            content_type += kind.removeprefix("multipart/form-data")
        else:
            body = b'{"audio":"AAAA","mimeType":"audio/wav"}'
        answer = await client.post("/transcribe", content=body, headers={"content-type": content_type})
        assert answer.status_code == 200


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({}, "recording.webm"),
        ({"filename": ""}, "recording.webm"),
        ({"filename": 5}, "recording.webm"),
        ({"filename": "ü.wav"}, "ü.wav"),
    ],
)
async def test_the_file_name_of_a_json_recording_has_a_default(fields, name):
    async with client_with(service := Recorder()) as client:
        assert (await post_json(client, **fields)).status_code == 200
        assert service.given[0].filename == name


@pytest.mark.parametrize(
    "audio",
    [
        base64.b64encode(SOUND).decode(),
        base64.b64encode(SOUND).decode().rstrip("="),
        "data:audio/webm;base64," + base64.b64encode(SOUND).decode(),
        "data:audio/webm;codecs=opus;base64, " + base64.encodebytes(SOUND).decode(),
    ],
)
async def test_base64_is_read_with_prefix_blanks_and_missing_padding(audio):
    async with client_with(service := Recorder()) as client:
        answer = await client.post("/transcribe", json={"audio": audio, "mimeType": "audio/webm"})
        assert answer.status_code == 200
        assert service.given[0].data == SOUND


NO_AUDIO = "No audio file found in form data. Please include an 'audio' field."
NO_JSON = "Request body must be valid JSON"
NO_FIELD = "Request must include 'audio' field with base64-encoded audio data"
NO_TYPE = "Request must include 'mimeType' field (e.g., 'audio/webm')"
NO_BASE64 = "Failed to decode base64 audio data"
MALFORMED = "Malformed multipart body"
NO_FORM = "Request must be multipart/form-data or application/json with base64 audio"
FORM = "multipart/form-data; boundary=b"
JSON = "application/json"


@pytest.mark.parametrize(
    ("kind", "body", "message"),
    [
        (FORM, part('Content-Disposition: form-data; name="sound"; filename="a"')[0], NO_AUDIO),
        (FORM, part('Content-Disposition: form-data; name="audio"')[0], NO_AUDIO),
        (FORM, part("Content-Type: audio/webm")[0], MALFORMED),
        (FORM, b"no form", MALFORMED),
        ("multipart/form-data", part("x: y")[0], MALFORMED),
        (JSON, b"{", NO_JSON),
        (JSON, b"", NO_JSON),
        (JSON, b"null", NO_JSON),
        (JSON, b"[]", NO_JSON),
        (JSON, b"\xff", NO_JSON),
        (JSON, b"{}", NO_FIELD),
        (JSON, b'{"audio":5,"mimeType":"audio/webm"}', NO_FIELD),
        (JSON, b'{"audio":"","mimeType":"audio/webm"}', NO_FIELD),
        (JSON, b'{"audio":"AAAA"}', NO_TYPE),
        (JSON, b'{"audio":"AAAA","mimeType":null}', NO_TYPE),
        (JSON, b'{"audio":"%%%%","mimeType":"audio/webm"}', NO_BASE64),
        (JSON, b'{"audio":"AAAAA","mimeType":"audio/webm"}', NO_BASE64),
        (JSON, '{"audio":"ü","mimeType":"audio/webm"}'.encode(), NO_BASE64),
        ("text/plain", b"x", NO_FORM),
        ("", b"x", NO_FORM),
        ("application/jsonx", b"{}", NO_FORM),
    ],
)
async def test_a_request_without_a_recording_is_told_what_is_missing(kind, body, message):
    async with client_with(service := Recorder()) as client:
        answer = await client.post("/transcribe", content=body, headers={"content-type": kind})
        assert (answer.status_code, answer.json()) == (400, error("invalid_request", message))
        assert service.given == []


@pytest.mark.parametrize("post", [post_form, post_json])
@pytest.mark.parametrize("kind", ["video/mp4", "audio/x-wav", "nonsense", "audio/webm2"])
async def test_another_kind_of_file_is_refused_by_name(post, kind):
    async with client_with(Recorder()) as client:
        answer = await post(client, kind=f"{kind}; a=b")
        expected = error("invalid_audio_format", UNSUPPORTED.format(kind))
        assert (answer.status_code, answer.json()) == (400, expected)


@pytest.mark.parametrize("form", ["multipart", "json"])
async def test_an_empty_recording_is_too_short(form):
    async with client_with(service := Recorder()) as client:
        if form == "multipart":
            answer = await post_form(client, data=b"")
        else:
            fields = {"audio": "data:audio/webm;base64,", "mimeType": "audio/webm"}
            answer = await client.post("/transcribe", json=fields)
        expected = error("audio_too_short", "Audio is too short to transcribe")
        assert (answer.status_code, answer.json()) == (400, expected)
        assert service.given == []


@pytest.mark.parametrize("post", [post_form, post_json])
async def test_a_recording_over_the_limit_is_refused(post):
    async with client_with(Recorder(), max_body_bytes=5000) as client:
        answer = await post(client, data=bytes(6000))
        assert (answer.status_code, answer.json()) == (
            413,
            error("audio_too_long", "Audio file is too large"),
        )
        assert (await post(client, data=bytes(3000))).status_code == 200


async def test_without_a_service_the_body_is_not_even_read():
    async def body():
        raise AssertionError("read")
        yield b""

    async with client_with(None) as client:
        answer = await client.post("/transcribe", content=body(), headers={"content-type": FORM})
        expected = error("service_not_configured", "Transcription service is not configured")
        assert (answer.status_code, answer.json()) == (503, expected)


async def test_a_server_that_shuts_down_takes_no_recordings():
    runtime = CopilotRuntime(agents={"a": agent}, transcription_service=Recorder())
    async with client_of(runtime.app()) as client:
        runtime.begin_drain()
        answer = await post_form(client)
        expected = error("service_not_configured", "Server is shutting down", retryable=True)
        assert (answer.status_code, answer.json()) == (503, expected)
    await runtime.aclose()


class Failure(Exception):
    def __init__(self, text: str, status_code: int | None = None) -> None:
        super().__init__(text)
        if status_code is not None:
            self.status_code = status_code


RATE = (429, error("rate_limited", "Rate limited. Please try again later.", retryable=True))
AUTH = (401, error("auth_failed", "Authentication failed with transcription provider"))
LONG = (400, error("audio_too_long", "Audio file is too long"))
NETWORK = (502, error("network_error", "Network error during transcription", retryable=True))
PROVIDER = (500, error("provider_error", "Transcription failed", retryable=True))


@pytest.mark.parametrize(
    ("outcome", "answer"),
    [
        (Failure("x", 429), RATE),
        (Failure("x", 401), AUTH),
        (TimeoutError(), NETWORK),
        (httpx2.ConnectError("x"), NETWORK),
        (Failure("generate failed"), PROVIDER),
        (Failure("author unknown"), PROVIDER),
        (Failure("audio too long"), LONG),
        (Failure("rate exceeded"), RATE),
        (5, PROVIDER),
        (TranscriptionError("audio_too_short", "Say more"), (400, error("audio_too_short", "Say more"))),
        (
            TranscriptionError("rate_limited", "Later"),
            (429, error("rate_limited", "Later", retryable=True)),
        ),
        (TranscriptionError("own_code", "Hm"), (500, error("own_code", "Hm", retryable=True))),
    ],
)
async def test_a_failure_of_the_service_has_the_code_the_client_knows(outcome, answer):
    async with client_with(Recorder(outcome)) as client:
        response = await post_form(client)
        assert (response.status_code, response.json()) == answer


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "Transcription failed"),
        ({"debug": True}, "secret detail"),
        ({"expose_errors": True}, "secret detail"),
        ({"expose_errors": False, "debug": True}, "Transcription failed"),
    ],
)
async def test_the_text_of_an_unknown_failure_is_told_as_far_as_errors_are_exposed(options, message):
    async with client_with(Recorder(Failure("secret detail")), **options) as client:
        assert (await post_form(client)).json()["message"] == message


async def test_a_service_may_be_any_object_and_its_method_may_be_sync():
    class Plain:
        def transcribe_file(self, audio):
            return audio.filename

    async with client_with(Plain()) as client:
        assert (await post_form(client)).json()["text"] == "a.webm"


async def test_a_service_is_closed_with_the_runtime():
    closed = []

    class Closing(Recorder):
        async def aclose(self) -> None:
            closed.append(True)

    async with client_with(Closing()) as client:
        assert (await post_form(client)).status_code == 200
        assert closed == []
    assert closed == [True]


@pytest.mark.parametrize("service", [object(), "x"])
def test_something_else_is_no_service(service):
    with pytest.raises(ConfigurationError, match="transcription_service"):
        CopilotRuntime(agents={"a": agent}, transcription_service=service)


async def test_a_form_from_another_site_is_accepted_because_browsers_send_recordings_so():
    async with client_with(Recorder()) as client:
        client.headers["sec-fetch-site"] = "cross-site"
        assert (await post_form(client)).status_code == 200


PIECES = st.lists(
    st.sampled_from(
        [
            b"--b",
            b"--",
            b"\r\n",
            b"\n",
            b"Content-Disposition: form-data",
            b'; name="audio"',
            b"; filename=",
            b'"a"',
            b"Content-Type: audio/webm",
            b"sound",
            b"\x00\xff",
            b":",
            b";",
            b"=",
        ]
    ),
    max_size=25,
).map(b"".join)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    PIECES | st.binary(max_size=80),
    st.sampled_from([FORM, "multipart/form-data; boundary=", FORM + "; charset=x"]),
)
def test_no_form_however_broken_is_answered_by_anything_but_yes_or_no(body, kind):
    async def ask() -> int:
        async with client_with(Recorder()) as client:
            return (
                await client.post("/transcribe", content=body, headers={"content-type": kind})
            ).status_code

    assert asyncio.run(ask()) in (200, 400)
