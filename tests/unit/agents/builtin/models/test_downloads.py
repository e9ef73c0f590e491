import asyncio
import socket
from typing import Any

import pytest

from jumpseat.agents.builtin.failures import AgentFailure
from jumpseat.agents.builtin.language_model import MediaData, MediaUrl, Text, UserTurn
from jumpseat.agents.builtin.models import downloads
from jumpseat.agents.builtin.models.downloads import download, is_public
from mock_provider import MockProvider
from model_requests import SPECS, answered, asked

PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(64)


def image(url: str, media_type: str | None = None) -> MediaUrl:
    return MediaUrl(url=url, kind="image", media_type=media_type)


def resolve_to(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    """Let every host name have these addresses."""

    async def getaddrinfo(self: Any, host: str, port: int, **_: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", getaddrinfo)


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0"),
        *("224.0.0.1", "255.255.255.255", "168.63.129.16", "::1", "::", "fe80::1", "fe80::1%eth0", "fd00::1"),
        *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "2002:7f00:1::", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe"),
        *("ff02::1", "nonsense"),
    ],
)
def test_an_address_of_the_inside_is_not_public(address: str):
    assert not is_public(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "1.1.1.1", "2606:4700:4700::1111", "::ffff:8.8.8.8"])
def test_an_address_of_the_internet_is_public(address: str):
    assert is_public(address)


@pytest.mark.parametrize(
    "url",
    [
        *(
            "http://127.0.0.1:{port}/secret.png?token=abc",
            "http://localhost:{port}/x.png",
            "http://[::1]:{port}/x.png",
        ),
        *(
            "http://2130706433:{port}/x.png",
            "http://0x7f.1:{port}/x.png",
            "http://user:pass@example.com/x.png",
        ),
        *("ftp://example.com/x.png", "file:///etc/passwd", "http://", "http://[broken/x"),
    ],
)
async def test_a_url_of_the_inside_is_refused_without_a_request(url: str, provider: MockProvider):
    port = provider.origin.rpartition(":")[2]
    with pytest.raises(AgentFailure) as refused:
        await download(image(url.format(port=port)))
    assert refused.value.code == "invalid_request"
    assert "abc" not in refused.value.message
    assert "pass" not in refused.value.message.replace("passwd", "")
    assert provider.requests == []


async def test_one_private_address_among_many_is_enough(monkeypatch: pytest.MonkeyPatch):
    resolve_to(monkeypatch, "8.8.8.8", "10.0.0.1")
    with pytest.raises(AgentFailure, match="private"):
        await download(image("http://example.com/x.png"))


@pytest.fixture
def inside(monkeypatch: pytest.MonkeyPatch, provider: MockProvider) -> str:
    """An address of the mock that counts as public, so that there is something to load."""
    resolve_to(monkeypatch, "127.0.0.1")
    monkeypatch.setattr(downloads, "is_public", lambda address: address == "127.0.0.1")
    return f"http://files.example:{provider.origin.rpartition(':')[2]}"


async def test_a_file_is_loaded_from_the_address_that_was_checked(inside: str, provider: MockProvider):
    provider.answer_once(200, PICTURE, headers={"content-type": "image/png; charset=x"})
    assert await download(image(f"{inside}/a/b.gif?x=1")) == MediaData(data=PICTURE, media_type="image/png")
    (request,) = provider.requests
    assert request.path == "/a/b.gif?x=1"
    assert request.headers["host"] == inside.removeprefix("http://")
    assert "authorization" not in request.headers


async def test_the_media_type_of_the_message_wins_and_the_ending_is_the_last_resort(
    inside: str, provider: MockProvider
):
    provider.answer_once(200, PICTURE, headers={"content-type": "application/octet-stream"})
    provider.answer_once(200, PICTURE, headers={"content-type": "text/plain"})
    assert (await download(image(f"{inside}/x.webp"))).media_type == "image/webp"
    assert (await download(image(f"{inside}/x.webp", "image/png"))).media_type == "image/png"


async def test_a_redirect_is_checked_again(inside: str, provider: MockProvider):
    provider.answer_once(302, b"", headers={"location": "/elsewhere.png"})
    provider.answer_once(200, PICTURE, headers={"content-type": "image/png"})
    assert (await download(image(f"{inside}/x.png"))).data == PICTURE
    assert [request.path for request in provider.requests] == ["/x.png", "/elsewhere.png"]
    provider.answer_once(302, b"", headers={"location": "file:///etc/passwd"})
    with pytest.raises(AgentFailure, match="only http"):
        await download(image(f"{inside}/x.png"))


async def test_redirects_end(inside: str, provider: MockProvider):
    for _ in range(8):
        provider.answer_once(302, b"", headers={"location": "/again.png"})
    with pytest.raises(AgentFailure, match="redirects too often"):
        await download(image(f"{inside}/x.png"))
    assert len(provider.requests) == 6


@pytest.mark.parametrize("status", [404, 500, 204])
async def test_what_is_not_there_is_said(status: int, inside: str, provider: MockProvider):
    provider.answer_once(status, b"")
    with pytest.raises(AgentFailure, match=f"HTTP {status}") as refused:
        await download(image(f"{inside}/x.png?key=1"))
    assert "key=1" not in refused.value.message


async def test_too_large_a_file_is_given_up(
    inside: str, provider: MockProvider, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(downloads, "MAX_BYTES", 1024 * 1024)
    provider.answer_once(200, bytes(1024 * 1024 + 1))
    with pytest.raises(AgentFailure, match="larger than 1 MiB"):
        await download(image(f"{inside}/x.png"))


async def test_a_silent_server_is_given_up(
    inside: str, provider: MockProvider, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(downloads, "_SECONDS", 0.2)
    provider.answer_once(200, stream=[], end="hang")
    with pytest.raises(AgentFailure) as refused:
        await download(image(f"{inside}/x.png"))
    assert refused.value.code == "invalid_request"


async def test_a_refused_connection_is_said(inside: str):
    with pytest.raises(AgentFailure, match="cannot be reached"):
        await download(image("http://files.example:9/x.png"))


@pytest.mark.parametrize(
    ("url", "data", "media_type"),
    [
        ("data:image/png;base64,AAEC", b"\0\1\2", "image/png"),
        ("data:,hello%20there", b"hello there", "text/plain"),
        ("DATA:text/csv;charset=utf-8;base64,YSxi", b"a,b", "text/csv"),
    ],
)
async def test_a_data_url_is_decoded(url: str, data: bytes, media_type: str):
    assert await download(image(url)) == MediaData(data=data, media_type=media_type)


@pytest.mark.parametrize("url", ["data:image/png;base64", "data:image/png;base64,A"])
async def test_a_broken_data_url_is_refused(url: str):
    with pytest.raises(AgentFailure) as refused:
        await download(image(url))
    assert refused.value.code == "invalid_request"


@pytest.mark.parametrize("name", ["openai", "openai-chat", "anthropic"])
async def test_a_picture_that_the_provider_can_fetch_goes_as_its_url(
    name: str, provider: MockProvider, connect: Any
):
    provider.say("A cat.")
    content = [Text(text="What is it?"), image("https://pictures.example/cat.png")]
    await answered(await connect(SPECS[name]), asked(UserTurn(content=content)))
    assert "https://pictures.example/cat.png" in provider.requests[0].text


@pytest.mark.parametrize(
    ("name", "media"),
    [
        ("google", image("http://127.0.0.1:1/cat.png")),
        ("openai-chat", MediaUrl(url="http://localhost/x.mp3", kind="audio")),
        ("anthropic", MediaUrl(url="http://[::1]/x.txt", kind="document")),
        ("openai", MediaUrl(url="http://169.254.169.254/latest", kind="binary")),
    ],
)
async def test_a_url_of_the_inside_that_would_be_loaded_here_ends_the_request(
    name: str, media: MediaUrl, provider: MockProvider, connect: Any
):
    model = await connect(SPECS[name])
    with pytest.raises(AgentFailure) as refused:
        await answered(model, asked(UserTurn(content=[media])))
    assert refused.value.code == "invalid_request"
    assert provider.requests == []


@pytest.mark.parametrize("name", SPECS)
async def test_bytes_and_data_urls_reach_every_provider(name: str, provider: MockProvider, connect: Any):
    provider.say("A cat.")
    content = [
        Text(text="What is it?"),
        MediaData(data=PICTURE, media_type="image/png"),
        image("data:image/png;base64,iVBORw0KGgo="),
    ]
    await answered(await connect(SPECS[name]), asked(UserTurn(content=content)))
    sent = provider.requests[0].text
    assert sent.count("iVBORw0KGgo") == 2
    assert "image/png" in sent
