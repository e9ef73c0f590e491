"""URLs of media: which a provider gets, and that no library of a provider ever loads one in its place."""

from typing import Any

import pytest

from chat_models import says, scripted
from jumpseat.agents.builtin.failures import AgentFailure
from jumpseat.agents.builtin.language_model import (
    AssistantTurn,
    MediaData,
    MediaUrl,
    ModelRequest,
    SystemText,
    Text,
    ToolReturn,
    UserTurn,
)
from jumpseat.agents.builtin.models import media_urls
from jumpseat.agents.builtin.models.langchain import LangChainModel
from jumpseat.agents.builtin.models.media_urls import is_fetched, media_kind, with_loaded_media
from jumpseat.context import AbortSignal
from model_requests import answered

PICTURE = MediaUrl(url="https://example.com/a", kind="image")
PDF = MediaUrl(url="https://example.com/A.PDF?x=1", kind="document")
TYPED_PDF = MediaUrl(url="https://example.com/a", kind="binary", media_type="application/pdf")
TEXT_FILE = MediaUrl(url="https://example.com/a.txt", kind="document")
SOUND = MediaUrl(url="https://example.com/a.mp3", kind="audio")
DATA = MediaUrl(url="DATA:image/png;base64,AAAA", kind="image")
LOADED = MediaData(data=b"loaded", media_type="image/png")


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was loaded here."""
    urls: list[str] = []

    async def load(media: MediaUrl) -> MediaData:
        urls.append(media.url)
        return LOADED

    monkeypatch.setattr(media_urls, "download", load)
    return urls


@pytest.mark.parametrize(
    ("media", "kind"),
    [
        (PICTURE, "image"),
        (TYPED_PDF, "document"),
        (MediaUrl(url="x", kind="binary", media_type="video/x"), "video"),
    ],
)
def test_the_kind_of_media(media: MediaUrl, kind: str):
    assert media_kind(media) == kind


def test_of_documents_only_pdfs_are_fetched_and_data_never_is():
    both = {"image", "document"}
    assert [is_fetched(media, both) for media in (PICTURE, PDF, TYPED_PDF, TEXT_FILE, SOUND, DATA)] == [
        *(True, True, True),
        *(False, False, False),
    ]


@pytest.mark.parametrize(
    ("provider", "kept"),
    [("openai", [PICTURE]), ("anthropic", [PICTURE, PDF]), ("google", []), ("", []), ("mine", [])],
)
async def test_what_a_provider_does_not_fetch_is_loaded_here(
    provider: str, kept: list[MediaUrl], loaded: list[str]
):
    given: list[Any] = [Text(text="see"), PICTURE, PDF, SOUND]
    messages = [
        SystemText(content="s"),
        UserTurn(content=given),
        UserTurn(content="plain"),
        AssistantTurn(content=[Text(text="a")]),
        ToolReturn(tool_call_id="c", name="n", content=[PICTURE]),
    ]
    made = await with_loaded_media(messages, provider)
    assert made[1].content == [part if isinstance(part, Text) or part in kept else LOADED for part in given]
    assert made[4].content == ([PICTURE] if PICTURE in kept else [LOADED])
    assert [made[0], made[2], made[3]] == [messages[0], messages[2], messages[3]]
    assert messages[1].content == given
    assert len(loaded) == (4 if not kept else 3 - len(kept))


async def test_a_model_of_langchain_never_sees_an_address_of_the_inside():
    model = scripted([says("ok")])
    inside = MediaUrl(url="http://127.0.0.1:9/a.png", kind="image")
    request = ModelRequest(messages=[UserTurn(content=[inside])], abort_signal=AbortSignal())
    with pytest.raises(AgentFailure, match="private") as refused:
        await answered(LangChainModel(model), request)
    assert refused.value.code == "invalid_request"
    assert model.requests == []
