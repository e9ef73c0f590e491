"""Older branches on a stock page: the guide's module lists them, shows one, and the page goes on from it."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from documents import ROOT, code
from e2e.browser import ANSWERS, QUESTIONS, Browser
from e2e.script import emit, problems, rich_turn, shown, text
from e2e.server import Server
from e2e.stock_clients import ClientError, StockClient, Tab, Tabs

GUIDE = ROOT / "docs" / "guides" / "branches.md"
(MODULE,), (COMPONENT,) = code(GUIDE, "js"), code(GUIDE, "jsx")
BUNDLER = ROOT / "page" / "node_modules" / ".bin" / "esbuild"
BUNDLE_SECONDS = 120
FONTS = [f"--loader:.{kind}=empty" for kind in ("woff2", "woff", "ttf")]
PAGE = """
import { CopilotChat, CopilotKitProvider, useAgent } from "@copilotkit/react-core/v2";
import { createRoot } from "react-dom/client";
import { Branches } from "./Branches.jsx";

const asked = new URLSearchParams(location.search);

function Edit() {
  const { agent } = useAgent({ agentId: "default" });
  return <button id="edit" onClick={() => agent.setMessages(agent.messages.slice(0, 2))}>edit</button>;
}

createRoot(document.getElementById("root")).render(
  <CopilotKitProvider runtimeUrl={asked.get("url")}>
    <Branches />
    <Edit />
    <CopilotChat agentId="default" threadId={asked.get("thread")} />
  </CopilotKitProvider>,
);
"""


def imported(tab: Tab, name: str, *parameters: Any) -> Any:
    """What a function of the guide's module returns when a component calls it."""
    return tab.call("imported", module=MODULE, name=name, parameters=list(parameters))


def keep(tab: Tab, count: int) -> None:
    """Cut the page down to its first messages, as editing and regenerating do."""
    tab.call("set", messages=tab.look()["messages"][:count])


@pytest.fixture
def branched(core: StockClient, server: Server, tabs: Tabs, thread_id: str) -> tuple[Tab, dict[str, Any]]:
    """A page whose second message was edited, and what it looked like before that."""
    tab = tabs.open(core, server.url, thread_id=thread_id)
    tab.say("hello", "u1")
    tab.run(text("a1", "answer 1"))
    tab.say("look it up", "u2")
    sealed = emit(
        "REASONING_ENCRYPTED_VALUE", subtype="message", entityId="reason-1", encryptedValue="sealed"
    )
    before = tab.run([*rich_turn(), sealed])
    keep(tab, 2)
    tab.say("do not look it up", "u2-edited")
    assert problems(tab.run([*text("a2-edited", "as you like")])) == []
    return tab, before


def test_the_page_shows_an_older_branch_as_it_was_and_goes_on_from_it(
    core: StockClient, server: Server, tabs: Tabs, thread_id: str, branched: tuple[Tab, dict[str, Any]]
) -> None:
    tab, before = branched
    edited = tab.look()["messages"]
    runs = imported(tab, "listRuns")
    assert [run["status"] for run in runs] == ["finished"] * 3
    assert [run.get("parentRunKey") for run in runs] == [None, runs[0]["runKey"], runs[0]["runKey"]]
    imported(tab, "openBranch", runs[1])
    opened = tab.look()
    assert [message["encryptedValue"] for message in opened["messages"] if "encryptedValue" in message] == [
        "sealed"
    ]
    assert shown(opened["messages"]) == shown(before["messages"])
    assert opened["state"] == before["state"] == {"count": 1, "items": ["a", "b"]}
    # Only this page looks back.
    fresh = tabs.open(core, server.url, thread_id=thread_id).connect()
    assert shown(fresh["messages"]) == shown(edited)

    tab.say("and now?", "u3")
    report = tab.run(text("a3", "we went on"))
    assert problems(report) == []
    assert [message["id"] for message in report["messages"]][-2:] == ["u3", "a3"]
    fresh = tabs.open(core, server.url, thread_id=thread_id).connect()
    # No client sends activities, so one that was cut does not come back with its branch.
    sendable = [message for message in report["messages"] if message["role"] != "activity"]
    assert len(sendable) == len(report["messages"]) - 1
    assert shown(fresh["messages"]) == shown(sendable)
    sent = [message["id"] for message in server.inputs(thread_id)[-1]["messages"]]
    assert [each for each in sent if each in ("u1", "u2", "call-1-answer", "u3")] == [
        "u1",
        "u2",
        "call-1-answer",
        "u3",
    ]


def test_every_branch_is_still_there_after_the_page_went_back_and_the_server_began_anew(
    core: StockClient, own_server: Any, tabs: Tabs, thread_id: str
) -> None:
    server = own_server()
    tab = tabs.open(core, server.url, thread_id=thread_id)
    branches = []
    for number, (kept, said) in enumerate([(0, "u1"), (2, "u2"), (2, "u2-edited"), (3, None)], 1):
        keep(tab, kept)
        if said is not None:
            tab.say(said, said)
        branches.append(tab.run(text(f"a{number}", f"answer {number}"))["messages"])
    imported(tab, "openBranch", imported(tab, "listRuns")[1])
    tab.say("u5", "u5")
    branches.append(tab.run(text("a5", "answer 5"))["messages"])
    assert [[message["id"] for message in branch] for branch in branches] == [
        ["u1", "a1"],
        ["u1", "a1", "u2", "a2"],
        ["u1", "a1", "u2-edited", "a3"],
        ["u1", "a1", "u2-edited", "a4"],
        ["u1", "a1", "u2", "a2", "u5", "a5"],
    ]
    server.restart()
    fresh = tabs.open(core, server.url, thread_id=thread_id)
    assert shown(fresh.connect()["messages"]) == shown(branches[-1])
    runs = imported(fresh, "listRuns")
    assert len(runs) == 5
    for run, branch in zip(runs, branches, strict=True):
        imported(fresh, "openBranch", run)
        assert shown(fresh.look()["messages"]) == shown(branch)


def test_what_cannot_be_opened_leaves_the_page_as_it_is_and_says_why(
    branched: tuple[Tab, dict[str, Any]], thread_id: str
) -> None:
    tab, _ = branched
    edited = tab.look()["messages"]
    with pytest.raises(ClientError, match=f"Thread '{thread_id}' has no run 'nobody'"):
        imported(tab, "openBranch", {"runKey": "nobody"})
    assert tab.look()["messages"] == edited


@pytest.fixture(scope="module")
def page_of_the_guide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The component of the guide beside the stock chat, bundled with the packages of the chat page."""
    if not BUNDLER.exists():
        raise RuntimeError(
            "the guide's page is bundled with what the chat page is built from: run `make page`"
        )
    folder = tmp_path_factory.mktemp("page")
    for name, text_of in (("branches.js", MODULE), ("Branches.jsx", COMPONENT), ("main.jsx", PAGE)):
        (folder / name).write_text(text_of)
    subprocess.run(
        [
            BUNDLER,
            "main.jsx",
            "--bundle",
            "--outfile=bundle.js",
            "--jsx=automatic",
            "--log-level=error",
            *FONTS,
        ],
        cwd=folder,
        env={**os.environ, "NODE_PATH": str(ROOT / "page" / "node_modules")},
        timeout=BUNDLE_SECONDS,
        check=True,
    )
    (folder / "index.html").write_text(
        '<!doctype html><div id="root"></div><script src="bundle.js"></script>'
    )
    return folder / "index.html"


def test_the_component_of_the_guide_goes_back_beside_the_stock_chat(
    browser: Browser, shared_server: Callable[..., Server], page_of_the_guide: Path, thread_id: str
) -> None:
    server = shared_server(app={"cors": True})
    address = urlencode({"url": server.url, "thread": thread_id})
    page = browser.open(f"{page_of_the_guide.as_uri()}?{address}")
    page.say("one")
    page.wait("ol button", count=1)
    page.say("two")
    page.wait("ol button", count=2)
    page.call("click", selector="#edit")
    page.wait(QUESTIONS, count=1)
    page.say("two, rather")
    page.wait("ol button", count=3)
    assert page.texts(QUESTIONS) == ["one", "two, rather"]
    page.call("click", selector="ol li:nth-child(2) button")
    page.wait(QUESTIONS, text="two, rather", gone=True)
    page.say("three")
    page.wait("ol button", count=4)
    for _ in range(2):
        page.wait(QUESTIONS, text="three")
        assert page.texts(QUESTIONS) == ["one", "two", "three"]
        assert [said.strip() for said in page.texts(ANSWERS)] == [
            "You said: one",
            "You said: two",
            "You said: three",
        ]
        assert page.problems() == []
        page.call("reload")
    page.close()
