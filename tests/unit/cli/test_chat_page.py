"""The chat page is served as it was built, told where the API is, and explained when it is missing."""

from pathlib import Path

import httpx2
import pytest
from starlette.responses import PlainTextResponse

from jumpseat.cli.chat_page import ChatPage
from jumpseat.cli.local_site import LocalSite

INDEX = (
    '<meta name="jumpseat-runtime-url" content="/api/copilotkit" /><meta name="jumpseat-demo" content="" />'
    '<meta name="jumpseat-model" content="" />'
    '<script type="module" src="./assets/a.js"></script>'
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "assets").mkdir()
    (tmp_path / "index.html").write_text(INDEX)
    (tmp_path / "icon.svg").write_text("<svg/>")
    (tmp_path / "assets" / "a.js").write_text("let a")
    (tmp_path / "assets" / "a.css").write_text("a{}")
    (tmp_path / "assets" / "font.woff2").write_bytes(b"wOF2")
    (tmp_path.parent / "secret.txt").write_text("secret")
    return tmp_path


def browser(
    folder: Path, *, demo: bool = False, model: str = "", api_path: str = "/api/copilotkit"
) -> httpx2.AsyncClient:
    site = LocalSite(
        api=PlainTextResponse("the api"),
        api_path=api_path,
        page=ChatPage(api_path=api_path, demo=demo, model=model, folder=folder),
    )
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(app=site), base_url="http://localhost")


async def test_the_page_is_told_where_the_api_is_and_who_answers(folder: Path):
    async with browser(folder, demo=True, api_path='/a"b') as client:
        page = await client.get("/")
    assert page.status_code == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert page.headers["cache-control"] == "no-store"
    assert 'name="jumpseat-runtime-url" content="/a&quot;b"' in page.text
    assert 'name="jumpseat-demo" content="true"' in page.text
    assert 'name="jumpseat-model" content=""' in page.text


async def test_the_page_is_told_which_model_answers(folder: Path):
    async with browser(folder, model='openai/"gpt-5"') as client:
        page = await client.get("/")
    assert 'name="jumpseat-model" content="openai/&quot;gpt-5&quot;"' in page.text
    assert 'name="jumpseat-demo" content=""' in page.text


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/assets/a.js", "text/javascript; charset=utf-8"),
        ("/assets/a.css", "text/css; charset=utf-8"),
        ("/assets/font.woff2", "font/woff2"),
        ("/icon.svg", "image/svg+xml"),
    ],
)
async def test_files_have_their_types_and_built_ones_may_be_kept(folder: Path, path: str, kind: str):
    async with browser(folder) as client:
        answer = await client.get(path)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == kind
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert ("immutable" in answer.headers["cache-control"]) is path.startswith("/assets/")


@pytest.mark.parametrize(
    "path", ["/assets/b.js", "/%2e%2e/secret.txt", "/..%2fsecret.txt", "/assets", "/nothing"]
)
async def test_what_is_not_part_of_the_page_is_not_found(folder: Path, path: str):
    async with browser(folder) as client:
        answer = await client.get(path)
    assert answer.status_code == 404
    assert "secret" not in answer.text


@pytest.mark.parametrize("path", ["/chat/42", "/index.html", "/threads"])
async def test_a_browser_on_another_path_is_led_back_to_the_page(folder: Path, path: str):
    async with browser(folder) as client:
        answer = await client.get(path, headers={"Accept": "text/html,*/*"})
    assert (answer.status_code, answer.headers["location"]) == (307, "/")


async def test_only_reading_is_allowed(folder: Path):
    async with browser(folder) as client:
        assert (await client.post("/")).status_code == 405
        assert (await client.head("/")).text == ""


def test_a_page_knows_whether_it_is_built(folder: Path, tmp_path: Path):
    assert ChatPage(api_path="/api", demo=False, folder=folder).is_built
    assert not ChatPage(api_path="/api", demo=False, folder=tmp_path / "absent").is_built


async def test_a_missing_page_says_how_to_get_it_until_it_is_there(tmp_path: Path):
    async with browser(tmp_path / "absent") as client:
        answer = await client.get("/")
        assert answer.status_code == 503
        assert "make page" in answer.text
        assert "pip install --force-reinstall --no-deps ." in answer.text
        assert "/api/copilotkit/info" in answer.text
        assert (await client.get("/assets/a.js")).status_code == 404
        (tmp_path / "absent").mkdir()
        (tmp_path / "absent" / "index.html").write_text(INDEX)
        assert (await client.get("/")).status_code == 200


@pytest.mark.parametrize(
    ("path", "is_api"),
    [
        ("/api/copilotkit", True),
        ("/api/copilotkit/info", True),
        ("/api/copilotkitty", False),
        ("/api", False),
    ],
)
async def test_the_api_has_its_own_part_of_the_origin(folder: Path, path: str, is_api: bool):
    async with browser(folder) as client:
        assert ((await client.get(path)).text == "the api") is is_api
