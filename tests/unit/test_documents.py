"""What the documents promise is there: the code runs, the links lead somewhere, the commands exist."""

import re
import subprocess
from pathlib import Path

import httpx2
import pytest

from documents import ROOT, code, table
from jumpseat import CopilotRuntime, InMemoryAgentRunner

DOCUMENTS = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "CHANGELOG.md",
    ROOT / "examples" / "README.md",
    *sorted((ROOT / "docs").rglob("*.md")),
]


def anchors(document: Path) -> set[str]:
    """The anchors that a document's headings get on the web."""
    headings = re.findall(r"^#+ (.*)$", document.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


async def test_the_program_of_the_readme_answers_a_client(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    exec(code(ROOT / "README.md", "python")[0], names)  # the document's own program
    runtime = names["runtime"]
    assert isinstance(runtime, CopilotRuntime)
    async with runtime:
        transport = httpx2.ASGITransport(app=names["app"])  # type: ignore[arg-type]
        async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as client:
            body = {
                "threadId": "t",
                "runId": "r7",
                "messages": [{"id": "u", "role": "user", "content": "hi"}],
            }
            answer = await client.post("/api/copilotkit/agent/default/run", json=body)
    assert '"delta":"Hello "' in answer.text
    assert '"delta":"from run r7"' in answer.text
    assert "RUN_FINISHED" in answer.text


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_within_the_project_lead_somewhere(document: Path):
    broken: list[str] = []
    for target in re.findall(r"\]\(([^)\s]+)\)", document.read_text(encoding="utf-8")):
        if target.startswith(("http://", "https://")):
            continue
        path, _, anchor = target.partition("#")
        linked = (document.parent / path).resolve() if path else document
        if not linked.exists() or (anchor and anchor not in anchors(linked)):
            broken.append(target)
    assert broken == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_make_target_that_is_named_exists(document: Path):
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"(?:^|`)make ([a-z]+)", document.read_text(encoding="utf-8"), re.MULTILINE))
    assert named <= targets


def test_every_option_of_the_runtime_is_documented():
    text = (ROOT / "docs" / "reference" / "http.md").read_text(encoding="utf-8")
    later = {"a2ui", "mcp_apps", "open_generative_ui", "realtime", "intelligence"}
    options = set(CopilotRuntime.__init__.__annotations__) - {"return"}
    assert {option for option in options - later if f"`{option}`" not in text} == set()


def test_every_promise_names_tests_that_are_there():
    promises = table(ROOT / "docs" / "guarantees.md", "promise", "limits", "shown by")
    named = [re.findall(r"`([\w/]+\.py)`", row["shown by"]) for row in promises]
    assert all(named)
    assert {test for tests in named for test in tests if not (ROOT / "tests" / test).is_file()} == set()


@pytest.mark.parametrize(("name", "limit"), [("README.md", 150), ("CONTRIBUTING.md", 100)])
def test_the_front_documents_stay_short(name: str, limit: int):
    assert len((ROOT / name).read_text(encoding="utf-8").splitlines()) < limit


def test_the_pinned_dependencies_have_hashes_and_name_no_place_to_get_them():
    for name in ("requirements.lock", "requirements-dev.lock"):
        text = (ROOT / name).read_text(encoding="utf-8")
        blocks = re.split(r"^(?=[\w.-]+==)", text, flags=re.MULTILINE)[1:]
        assert len(blocks) > 10
        assert [block.split("==")[0] for block in blocks if "--hash=sha256:" not in block] == []
        assert "://" not in text


def test_the_default_runner_is_the_one_that_the_documents_name():
    async def agent(input, context):  # noqa: A002
        yield {}

    assert isinstance(CopilotRuntime(agents={"default": agent}).runner, InMemoryAgentRunner)


def test_the_scripts_are_executable_and_understood_by_the_shell():
    for script in (*(ROOT / "scripts").glob("*.sh"), ROOT / ".ci" / "run"):
        assert script.stat().st_mode & 0o111, script
        subprocess.run(["sh", "-n", str(script)], check=True, timeout=30)
