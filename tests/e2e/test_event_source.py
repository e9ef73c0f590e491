"""The browser's own EventSource on a thread: what it has is never sent twice, what it missed is sent."""

from collections.abc import Callable

from e2e.browser import Browser
from e2e.cable import Cable
from e2e.script import emit, gate, open_text, text
from e2e.server import Server
from e2e.stock_clients import StockClient, Tabs


def test_an_event_source_that_lost_its_network_goes_on_where_it_was_and_stops_at_the_end(
    stock_clients: Callable[[str], StockClient],
    browser: Browser,
    server: Server,
    tabs: Tabs,
    thread_id: str,
) -> None:
    cable = Cable(server.port)
    try:
        running_tab = tabs.open(stock_clients("client1"), server.url, thread_id=thread_id)
        running_tab.say("count", "u1")
        more = [emit("TEXT_MESSAGE_CONTENT", messageId="a1", delta=f" {number}") for number in range(20)]
        script = [
            *open_text("a1", "one", " two"),
            gate(f"{thread_id}-cut"),
            *more,
            gate(f"{thread_id}-mended"),
            emit("TEXT_MESSAGE_END", messageId="a1"),
            *text("a2", "the end"),
        ]
        running = running_tab.begin_run(script, deadline=60.0)
        running_tab.wait(type="TEXT_MESSAGE_CONTENT", count=2)

        page = browser.open(f"{cable.origin}/control/inputs?threadId=none")
        url = f"{cable.origin}/api/copilotkit/agent/default/connect?threadId={thread_id}"
        page.call("listen", url=url)
        prelude = 3
        page.call("heard", count=prelude + 4)

        cable.cut()
        server.open_gate(f"{thread_id}-cut")
        server.wait_at_gate(f"{thread_id}-mended")
        cable.mend()
        page.call("heard", count=prelude + 4 + len(more))
        server.open_gate(f"{thread_id}-mended")

        expected = running.result(60)["events"]
        heard = page.call("heard", closed=True, deadline=30.0)
        assert [message["event"] for message in heard][prelude:] == expected
        ids = [message["id"] for message in heard[prelude:]]
        assert len(set(ids)) == len(ids)
        page.close()
    finally:
        cable.close()


def test_an_event_source_on_an_unknown_thread_gives_up_at_once(
    browser: Browser, server: Server, thread_id: str
) -> None:
    page = browser.open(f"{server.origin}/control/inputs?threadId=none")
    page.call("listen", url=f"{server.url}/agent/default/connect?threadId={thread_id}")
    assert page.call("heard", closed=True) == []
    page.close()
