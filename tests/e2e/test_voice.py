"""The microphone of the stock chat, from a sound to a message, with `jumpseat dev` and OpenAI's service."""

import math
import struct
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from e2e.browser import ANSWERS, CHAT_INPUT, QUESTIONS, Browser, Page, running_browser
from e2e.server import Server, command_line_server
from jumpseat import OpenAITranscriptionService
from jumpseat.errors import TranscriptionError
from jumpseat.transcription import ProviderRefused, TranscriptionFile, failure_code
from mock_provider import TEST_KEY, MockProvider

SAMPLES_PER_SECOND = 16_000
SECONDS = 3
START = '[data-testid="copilot-start-transcribe-button"]'
WEBM = b"\x1a\x45\xdf\xa3"
RECORDED_BYTES = 500
"""As much as a page has recorded when it has heard something."""

HEARD = {
    "match": {"endpoint": "transcription"},
    "response": {"transcription": {"text": "What is the weather?"}},
}
ANSWERED = {"match": {"userMessage": "What is the weather?"}, "response": {"content": "Sunny, as ever."}}


def write_tone(path: Path) -> None:
    """A tone that goes up and down."""
    samples = (
        int(
            12_000 * math.sin(math.tau * (300 + 100 * math.sin(number / 2_000)) * number / SAMPLES_PER_SECOND)
        )
        for number in range(SAMPLES_PER_SECOND * SECONDS)
    )
    with wave.open(str(path), "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(SAMPLES_PER_SECOND)
        sound.writeframes(b"".join(struct.pack("<h", sample) for sample in samples))


@pytest.fixture(scope="module")
def hearing_browser(packages: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A Chromium with a microphone that plays a tone."""
    sound = tmp_path_factory.mktemp("sound") / "tone.wav"
    write_tone(sound)
    with running_browser(sound) as started:
        yield started


@pytest.fixture(scope="module", params=["multi-route", "single-route"])
def speaking(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, mock_server: MockProvider
) -> Iterator[Server]:
    """`jumpseat dev` as it is, with a key of OpenAI in the environment, in both kinds of routes."""
    single = request.param == "single-route"
    folder = tmp_path_factory.mktemp("speaking")
    environment = {"OPENAI_API_KEY": TEST_KEY, "OPENAI_BASE_URL": mock_server.openai_url}
    options = ["--db", str(folder / "threads.db"), *(["--single-route"] if single else [])]
    started = command_line_server(
        folder, "dev", *options, environment=environment, **({"probe": "/"} if single else {})
    )
    try:
        yield started.start()
    finally:
        started.close()


def speak(page: Page) -> None:
    """Record until something was heard, and finish."""
    page.call("click", selector=START)
    page.call("recorded", bytes=RECORDED_BYTES)
    page.click("copilot-finish-transcribe-button")


def sent(provider: MockProvider) -> list[str]:
    """The paths of what the provider was asked."""
    return [request.path for request in provider.requests]


def test_what_is_said_into_the_microphone_is_put_into_the_input_and_answered_by_the_model(
    hearing_browser: Browser, speaking: Server, provider: MockProvider
) -> None:
    provider.add(HEARD, ANSWERED)
    page = hearing_browser.open(speaking.origin)
    page.wait('[data-testid="model-badge"]', text="openai/gpt-5")
    speak(page)
    page.call("value", selector=CHAT_INPUT, expected="What is the weather?")
    [recording] = provider.requests
    assert recording.path == "/v1/audio/transcriptions"
    assert recording.headers["authorization"] == f"Bearer {TEST_KEY}"
    assert WEBM in recording.body
    assert b"whisper-1" in recording.body

    page.call("press", selector=CHAT_INPUT, key="Enter")
    page.wait(ANSWERS, text="Sunny, as ever.")
    page.wait_until_idle()
    assert page.texts(QUESTIONS) == ["What is the weather?"]
    assert sent(provider) == ["/v1/audio/transcriptions", "/v1/responses"]
    assert page.reported() == []
    # A client looks for several routes first; where there is one, the console says that it found none.
    assert [problem for problem in page.problems() if "404 (Not Found)" not in problem] == []
    assert TEST_KEY not in speaking.logged()
    page.close()


def test_a_recording_that_is_given_up_is_sent_nowhere(
    hearing_browser: Browser, speaking: Server, provider: MockProvider
) -> None:
    provider.add(HEARD, ANSWERED)
    page = hearing_browser.open(speaking.origin)
    page.call("click", selector=START)
    page.call("recorded", bytes=RECORDED_BYTES)
    page.click("copilot-cancel-transcribe-button")
    page.wait(START)
    speak(page)
    page.call("value", selector=CHAT_INPUT, expected="What is the weather?")
    assert sent(provider) == ["/v1/audio/transcriptions"]
    page.close()


FAILURES = {
    429: "Too many requests. Please wait a moment.",
    401: "Authentication error. Please check your configuration.",
}


@pytest.mark.parametrize("status", FAILURES)
def test_a_provider_that_refuses_is_explained_by_the_chat_and_the_next_recording_works(
    hearing_browser: Browser, speaking: Server, provider: MockProvider, status: int
) -> None:
    provider.answer_once(status, {"error": {"message": f"No, said to {TEST_KEY}"}})
    provider.add(HEARD)
    page = hearing_browser.open(speaking.origin)
    speak(page)
    page.wait("main", text=FAILURES[status])
    speak(page)
    page.call("value", selector=CHAT_INPUT, expected="What is the weather?")
    assert TEST_KEY not in speaking.logged()
    page.close()


def test_without_a_service_there_is_no_microphone(hearing_browser: Browser, demo: Server) -> None:
    page = hearing_browser.open(demo.origin)
    page.wait(CHAT_INPUT)
    page.wait('[data-testid="connection"][data-state="connected"]')
    assert page.texts(START) == []
    page.close()


SOUND = TranscriptionFile(data=WEBM + bytes(2_000), filename="recording.webm", mime_type="audio/webm")


async def test_openai_s_service_is_asked_for_the_text_of_a_recording(provider: MockProvider) -> None:
    provider.add(HEARD)
    service = OpenAITranscriptionService(
        TEST_KEY, base_url=provider.openai_url, model="gpt-4o-transcribe", language="en", prompt="Rain or sun"
    )
    try:
        assert await service.transcribe_file(SOUND) == "What is the weather?"
    finally:
        await service.aclose()
    body = provider.requests[0].body
    for field in (b"gpt-4o-transcribe", b"en", b"Rain or sun", b'filename="recording.webm"', b"audio/webm"):
        assert field in body
    assert provider.journal()[0]["body"]["model"] == "gpt-4o-transcribe"


CODES: dict[int, str] = {
    429: "rate_limited",
    401: "auth_failed",
    413: "audio_too_long",
    500: "provider_error",
}


@pytest.mark.parametrize("status", CODES)
async def test_a_refusal_of_openai_has_the_code_that_clients_know(
    provider: MockProvider, status: int
) -> None:
    refusal: dict[str, Any] = {"error": {"message": "No.", "type": "invalid_request_error"}, "status": status}
    provider.add({"match": {"endpoint": "transcription"}, "response": refusal})
    service = OpenAITranscriptionService(TEST_KEY, base_url=provider.openai_url)
    try:
        with pytest.raises((ProviderRefused, TranscriptionError)) as caught:
            await service.transcribe_file(SOUND)
    finally:
        await service.aclose()
    assert failure_code(caught.value) == CODES[status]
