"""Every release of the stock clients shows what a BuiltInAgent does, and shows the same after a reload."""

import json
import uuid
from typing import Any

import pytest

from e2e.script import Report, problems, shown, types
from e2e.server import Server
from e2e.stock_clients import StockClient, Tab, Tabs
from mock_provider import MockProvider

SIGNED = '{"provider":"scripted","signature":"signed-by-them"}'

ADDED = '{"success":true,"delta":[{"op":"add","path":"/items/-","value":"eggs"}]}'
REFUSED = '{"error":"State delta could not be applied: 0: there is nothing at \'nothing\'"}'

# What a page shows of each scene of the app: its messages in short, and its state.
PAGES: dict[str, tuple[list[str], dict[str, Any]]] = {
    "text": (["assistant: Good day"], {}),
    "think": (["reasoning: Let me think, signed", "assistant: Thought about it"], {}),
    "look": (
        [
            "reasoning: I could look it up, signed",
            'assistant: I will look, lookup {"q": "x"}',
            'tool of lookup: "x!"',
            "reasoning: There it is",
            "assistant: It is x!",
        ],
        {},
    ),
    "both": (
        [
            'assistant: , lookup {"q": "one"}, lookup {"q": "two"}',
            'tool of lookup: "one!"',
            'tool of lookup: "two!"',
            "assistant: Both are there",
        ],
        {},
    ),
    "hidden": (
        ['assistant: , lookup {"q": "y"} signed', 'tool of lookup: "y!"', "assistant: Nothing to see"],
        {},
    ),
    "ids": (
        [
            "assistant: one",
            "reasoning: two",
            'assistant: three, lookup {"q": "a"}, lookup {"q": "b"}',
            'tool of lookup: "a!"',
            'tool of lookup: "b!"',
            'assistant: four, lookup {"q": "c"}',
            'tool of lookup: "c!"',
            "assistant: five",
        ],
        {},
    ),
    "progress": (
        [
            'assistant: , copy_files {"count": 3}',
            'tool of copy_files: {"copied":3}',
            'tool-progress: {"toolCallId": "call_slow", "toolName": "copy_files", "value": {"copied": 2}}',
            "assistant: Copied",
        ],
        {},
    ),
    "edit": (
        [
            'assistant: Here, AGUISendStateSnapshot {"snapshot": {"items": ["milk"], "note": "\\u00e9"}}',
            'tool of AGUISendStateSnapshot: {"success":true,"snapshot":{"items":["milk"],"note":"é"}}',
            'assistant: , AGUISendStateDelta {"delta": [{"op": "add", "path": "/items/-", "value": "eggs"}]}',
            f"tool of AGUISendStateDelta: {ADDED}",
            'assistant: , AGUISendStateDelta {"delta": [{"op": "remove", "path": "/nothing"}]}',
            f"tool of AGUISendStateDelta: {REFUSED}",
            "assistant: Milk and eggs",
        ],
        {"items": ["milk", "eggs"], "note": "é"},
    ),
    "count": (
        ["assistant: , count_up {}", 'tool of count_up: "counted to 2"', "assistant: Counted"],
        {"count": 2},
    ),
    "fail-tool": (
        [
            "assistant: , always_fails {}, no_such_tool {}",
            'tool of always_fails: {"error":"no luck"}',
            'tool of no_such_tool: {"error":"Unknown tool \\"no_such_tool\\""}',
            "assistant: It failed",
        ],
        {},
    ),
}


def lines(report: Report) -> list[str]:
    """The messages behind the user's first, one line each."""
    names = {
        call["id"]: call["function"]["name"] for m in report["messages"] for call in m.get("toolCalls") or ()
    }
    return [_line(message, names) for message in report["messages"][1:]]


def _line(message: dict[str, Any], names: dict[str, str]) -> str:
    content = message.get("content") or ""
    match message["role"]:
        case "tool":
            return f"tool of {names[message['toolCallId']]}: {content}"
        case "activity":
            return f"{message['activityType']}: {json.dumps(content)}"
        case role:
            calls = "".join(
                f", {call['function']['name']} {call['function']['arguments']}{_sign(call, ' signed')}"
                for call in message.get("toolCalls") or ()
            )
            return f"{role}: {content}{calls}{_sign(message, ', signed')}"


def _sign(signed: dict[str, Any], word: str) -> str:
    value = signed.get("encryptedValue")
    assert value in (None, SIGNED)
    return word if value else ""


def said(tab: Tab, scene: str, message_id: str = "u1", **parameters: Any) -> Report:
    """Play a scene and return what the page shows then."""
    tab.say(scene, message_id)
    return tab.run(**parameters)


def received(report: Report) -> list[dict[str, Any]]:
    """What the model was told when it was asked to recall it, without the system text and the question."""
    return json.loads(report["messages"][-1]["content"])[1:-1]


@pytest.mark.parametrize("scene", PAGES)
def test_a_run_is_shown_in_the_same_way_everywhere_and_after_a_reload(
    stock: StockClient, built_in: Server, tabs: Tabs, thread_id: str, scene: str
) -> None:
    expected, state = PAGES[scene]
    live = said(tabs.open(stock, built_in.url, thread_id=thread_id), scene)
    assert problems(live) == []
    assert (lines(live), live["state"]) == (expected, state)
    assert types(live)[-1] == "RUN_FINISHED"
    ids = [message["id"] for message in live["messages"]]
    assert len(set(ids)) == len(ids)

    reloaded = tabs.open(stock, built_in.url, thread_id=thread_id)
    restored = reloaded.connect()
    assert problems(restored) == []
    assert (shown(restored["messages"]), restored["state"]) == (shown(live["messages"]), state)

    again = said(reloaded, "text", "u2")
    assert problems(again) == []
    assert lines(again) == [*expected, "user: text", "assistant: Good day"]


def test_events_among_the_parts_of_a_stream_may_come_in_the_middle_of_a_text(
    stock: StockClient, built_in: Server, tabs: Tabs, thread_id: str
) -> None:
    live = said(tabs.open(stock, built_in.url, thread_id=thread_id, agent_id="stream"), "go on")
    assert problems(live) == []
    assert types(live) == [
        "RUN_STARTED",
        "TEXT_MESSAGE_START",
        "TEXT_MESSAGE_CONTENT",
        "STATE_SNAPSHOT",
        "STATE_DELTA",
        "TEXT_MESSAGE_CONTENT",
        "TEXT_MESSAGE_END",
        "RUN_FINISHED",
    ]
    assert (lines(live), live["state"]) == (["assistant: half and half"], {"items": ["between"]})
    restored = tabs.open(stock, built_in.url, thread_id=thread_id, agent_id="stream").connect()
    assert problems(restored) == []
    assert (shown(restored["messages"]), restored["state"]) == (shown(live["messages"]), live["state"])


def test_a_state_that_the_page_sends_is_edited_by_the_model(
    stock: StockClient, built_in: Server, tabs: Tabs, thread_id: str
) -> None:
    tab = tabs.open(stock, built_in.url, thread_id=thread_id)
    tab.call("set", state={"items": ["salt"], "mine": True})
    live = said(tab, "add")
    assert problems(live) == []
    assert live["state"] == {"items": ["salt", "bread"], "mine": True}
    # A replay needs what the delta was made for.
    assert types(live).index("STATE_SNAPSHOT") < types(live).index("STATE_DELTA")
    more = said(tab, "add", "u2")
    assert more["state"] == {"items": ["salt", "bread", "bread"], "mine": True}
    assert tabs.open(stock, built_in.url, thread_id=thread_id).connect()["state"] == more["state"]


def test_what_a_model_signed_comes_back_to_it_in_the_next_run_and_after_a_reload(
    stock: StockClient, built_in: Server, tabs: Tabs, thread_id: str
) -> None:
    said(tabs.open(stock, built_in.url, thread_id=thread_id), "think")
    reloaded = tabs.open(stock, built_in.url, thread_id=thread_id)
    reloaded.connect()
    said(reloaded, "hidden", "u2")
    for tab, message_id in ((reloaded, "u3"), (tabs.open(stock, built_in.url, thread_id=thread_id), "u4")):
        tab.connect()
        turns = [turn for turn in received(said(tab, "recall", message_id)) if turn["of"] == "AssistantTurn"]
        thought, text = turns[0]["is"]["content"]
        assert (thought["text"], thought["signature"], thought["provider"]) == (
            "Let me think",
            "signed-by-them",
            "scripted",
        )
        assert text == {"text": "Thought about it"}
        [call] = turns[1]["is"]["content"]
        assert (call["name"], call["signature"]) == ("lookup", "signed-by-them")


def test_token_counts_on_the_end_of_a_run_stop_no_client(
    stock: StockClient, built_in: Server, tabs: Tabs, thread_id: str
) -> None:
    for agent, counts in (("default", [41]), ("quiet", [])):
        thread = f"{thread_id}-{agent}"
        live = said(tabs.open(stock, built_in.url, thread_id=thread, agent_id=agent), "look")
        assert problems(live) == []
        last = live["events"][-1]
        assert last["type"] == "RUN_FINISHED"
        # A client may leave out what it does not know.
        assert [usage["totalTokens"] for usage in last.get("usage") or []] in (counts, [])
        stored = built_in.get(f"threads/{thread}/events")["events"][-1]
        assert [usage["totalTokens"] for usage in stored.get("usage") or []] == counts


COUNTS = {"odd-usage": {}, "some-usage": {"inputTokens": 2**53 - 1}}


@pytest.mark.parametrize("scene", COUNTS)
def test_token_counts_that_are_none_are_left_out(
    stock: StockClient, built_in: Server, tabs: Tabs, thread_id: str, scene: str
) -> None:
    live = said(tabs.open(stock, built_in.url, thread_id=thread_id), scene)
    assert problems(live) == []
    [usage] = built_in.get(f"threads/{thread_id}/events")["events"][-1].get("usage") or [{}]
    assert {name: value for name, value in usage.items() if name.endswith("Tokens")} == COUNTS[scene]


ANSWERS = {
    "a payload": ({"status": "resolved", "payload": {"seat": "1A"}}, '{"seat":"1A"}'),
    "zero": ({"status": "resolved", "payload": 0}, "0"),
    "no payload": ({"status": "resolved"}, '{"status":"resolved"}'),
    "a refusal": ({"status": "cancelled"}, '{"status":"cancelled"}'),
}


@pytest.mark.parametrize("answer", ANSWERS)
def test_an_interrupt_tool_waits_through_a_reload_and_the_model_learns_the_answer(
    stock: StockClient, built_in: Server, tabs: Tabs, thread_id: str, answer: str
) -> None:
    given, content = ANSWERS[answer]
    live = said(tabs.open(stock, built_in.url, thread_id=thread_id), "approve")
    question = {
        "id": "call_book",
        "toolCallId": "call_book",
        "reason": "tool_call",
        "message": "Book this flight?",
    }
    asked = ['assistant: May I?, book_flight {"to": "Lisbon"}, lookup {"q": "z"}', 'tool of lookup: "z!"']
    assert problems(live) == []
    assert (lines(live), live["pendingInterrupts"]) == (asked, [question])

    reloaded = tabs.open(stock, built_in.url, thread_id=thread_id)
    restored = reloaded.connect()
    assert (lines(restored), restored["pendingInterrupts"]) == (asked, [question])
    resume = [{"interruptId": "call_book", **given}]
    answered = reloaded.run(resume=resume, runId=restored["runIds"][-1])
    assert problems(answered) == []
    assert answered["pendingInterrupts"] == []
    whole = [*asked, f"tool of book_flight: {content}", f"assistant: I was told {[content]}"]
    assert lines(answered) == whole
    assert lines(tabs.open(stock, built_in.url, thread_id=thread_id).connect()) == whole
    assert problems(said(reloaded, "text", "u2")) == []


def test_two_interrupts_of_one_answer_are_resumed_together(
    stock: StockClient, built_in: Server, tabs: Tabs, thread_id: str
) -> None:
    tab = tabs.open(stock, built_in.url, thread_id=thread_id)
    live = said(tab, "approve-two")
    assert [question["id"] for question in live["pendingInterrupts"]] == ["call_there", "call_back"]
    reloaded = tabs.open(stock, built_in.url, thread_id=thread_id)
    restored = reloaded.connect()
    assert restored["pendingInterrupts"] == live["pendingInterrupts"]
    resume = [
        {"interruptId": "call_back", "status": "cancelled"},
        {"interruptId": "call_there", "status": "resolved", "payload": {"seat": 1}},
    ]
    answered = reloaded.run(resume=resume, runId=restored["runIds"][-1])
    assert problems(answered) == []
    told = """assistant: I was told ['{"seat":1}'], I was told ['{"status":"cancelled"}']"""
    assert lines(answered)[-1] == told


def test_a_failed_answer_is_closed_its_call_has_a_result_and_the_thread_goes_on(
    stock: StockClient, built_in: Server, tabs: Tabs, thread_id: str
) -> None:
    tab = tabs.open(stock, built_in.url, thread_id=thread_id)
    live = said(tab, "broken")
    assert [(failure["where"], failure["code"]) for failure in live["failures"]] == [
        ("onRunErrorEvent", "provider_error")
    ]
    assert types(live)[-1] == "RUN_ERROR"
    assert live["events"][-1]["message"] == "the line is dead"
    expected = [
        "reasoning: Hm",
        'assistant: and th, lookup {"q": "l"}',
        'tool of lookup: {"error":"The model response failed before this tool ran"}',
    ]
    assert lines(live) == expected
    reloaded = tabs.open(stock, built_in.url, thread_id=thread_id)
    restored = reloaded.connect()
    assert problems(restored) == []
    assert shown(restored["messages"]) == shown(live["messages"])
    assert lines(said(reloaded, "text", "u2")) == [*expected, "user: text", "assistant: Good day"]


STOPPED = {
    "wait": ("TEXT_MESSAGE_CONTENT", ["reasoning: Slowly", "assistant: half a"]),
    "wait-thinking": ("REASONING_MESSAGE_CONTENT", ["reasoning: Hm"]),
    "wait-calling": ("TOOL_CALL_ARGS", ['assistant: , lookup {"q": ']),
    "wait-working": ("CUSTOM", ["assistant: , work_for_ever {}"]),
}


@pytest.mark.parametrize("scene", STOPPED)
def test_a_run_that_is_stopped_ends_legally_wherever_it_was(
    stock: StockClient, built_in: Server, tabs: Tabs, thread_id: str, scene: str
) -> None:
    reached, expected = STOPPED[scene]
    tab = tabs.open(stock, built_in.url, thread_id=thread_id)
    tab.say(f"{scene} {thread_id}", "u1")
    running = tab.begin_run()
    tab.wait(type=reached)
    stopped = built_in.http.post(f"{built_in.url}/agent/default/stop/{thread_id}").raise_for_status().json()
    assert stopped["stopped"] is True
    live = running.result(15)
    assert problems(live) == []
    assert types(live)[-1] == "RUN_FINISHED"
    shown_now = lines(live)
    assert shown_now[: len(expected)] == expected
    # A call that was cut off has been given a result that says so.
    cut = [line for line in shown_now[len(expected) :] if '"status":"stopped"' in line]
    assert len(cut) == len(shown_now) - len(expected) == sum("{" in line for line in expected)
    reloaded = tabs.open(stock, built_in.url, thread_id=thread_id)
    restored = reloaded.connect()
    assert problems(restored) == []
    assert shown(restored["messages"]) == shown(live["messages"])
    assert problems(said(reloaded, "text", "u2")) == []


def test_a_page_that_comes_back_in_the_middle_of_an_answer_sees_all_of_it(
    stock: StockClient, built_in: Server, tabs: Tabs, thread_id: str
) -> None:
    first = tabs.open(stock, built_in.url, thread_id=thread_id)
    first.say(f"wait {thread_id}", "u1")
    running = first.begin_run()
    first.wait(type="TEXT_MESSAGE_CONTENT")
    second = tabs.open(stock, built_in.url, thread_id=thread_id)
    connecting = second.begin("connect")
    second.wait(type="TEXT_MESSAGE_CONTENT")
    built_in.open_gate(thread_id)
    for report in (running.result(15), connecting.result(15)):
        assert problems(report) == []
        assert lines(report) == ["reasoning: Slowly", "assistant: half a sentence"]


def test_tools_of_the_page_run_in_the_page_and_tools_of_the_server_on_the_server(
    core: StockClient, built_in: Server, tabs: Tabs, thread_id: str
) -> None:
    tool = {"name": "paint_page", "result": "painted red"}
    tab = tabs.open(core, built_in.url, thread_id=thread_id, tools=[tool])
    live = said(tab, "mixed")
    assert problems(live) == []
    answers = sorted(line for line in lines(live) if line.startswith("tool"))
    assert answers == ['tool of lookup: "o!"', "tool of paint_page: painted red"]
    assert lines(live)[0] == 'assistant: , lookup {"q": "o"}, paint_page {"color": "red"}'
    assert lines(live)[-1] == "assistant: Done"
    assert types(live).count("RUN_FINISHED") == 2
    reloaded = tabs.open(core, built_in.url, thread_id=thread_id, tools=[tool])
    assert shown(reloaded.connect()["messages"]) == shown(live["messages"])


def test_a_suggestion_is_made_by_the_model_and_leaves_nothing_behind(
    core: StockClient, built_in: Server, tabs: Tabs, thread_id: str
) -> None:
    tab = tabs.open(core, built_in.url, thread_id=thread_id)
    live = said(tab, "text")
    configuration = {"instructions": "Offer something", "providerAgentId": "default"}
    suggested = tab.call("suggest", configuration=configuration)["suggestions"]
    assert [(suggestion["title"], suggestion["message"]) for suggestion in suggested] == [
        ("Once more", "text after text"),
        ("Forced", "text copilotkitSuggest"),
    ]
    assert problems(tab.look()) == []
    reloaded = tabs.open(core, built_in.url, thread_id=thread_id).connect()
    assert shown(reloaded["messages"]) == shown(live["messages"])


PROVIDERS = ("openai", "openai-chat", "anthropic", "google")
WEATHER = [
    {
        "match": {"userMessage": "weather", "hasToolResult": False},
        "response": {
            "reasoning": "I look.",
            "content": "One moment.",
            "toolCalls": [{"id": "call_w1", "name": "weather", "arguments": {"city": "Rome"}}],
        },
    },
    {"match": {"userMessage": "weather"}, "response": {"content": "Sunny in Rome."}},
    {"match": {"userMessage": "thanks"}, "response": {"content": "You are welcome."}},
]


@pytest.fixture
def weather(provider: MockProvider) -> MockProvider:
    """The mock of the providers with a conversation in which a tool is called."""
    provider.add(*WEATHER)
    return provider


@pytest.mark.parametrize("name", PROVIDERS)
def test_an_answer_of_every_provider_is_shown_in_the_same_way_and_goes_on_after_a_reload(
    stock: StockClient, built_in: Server, weather: MockProvider, tabs: Tabs, name: str
) -> None:
    thread_id = f"thread-{uuid.uuid4().hex}"
    live = said(tabs.open(stock, built_in.url, thread_id=thread_id, agent_id=name), "weather?")
    assert problems(live) == []
    conversation = [m for m in live["messages"] if m["role"] != "reasoning"]
    assert [message["role"] for message in conversation] == ["user", "assistant", "tool", "assistant"]
    [call] = conversation[1]["toolCalls"]
    assert (conversation[1]["content"], call["function"]["name"]) == ("One moment.", "weather")
    assert json.loads(call["function"]["arguments"]) == {"city": "Rome"}
    assert conversation[2]["content"] == '{"city":"Rome","sky":"sunny"}'
    assert conversation[3]["content"] == "Sunny in Rome."
    # The mock does not think where the model that it plays has no visible reasoning.
    thoughts = [message["content"] for message in live["messages"] if message["role"] == "reasoning"]
    assert thoughts == ([] if name == "openai-chat" else ["I look."])

    reloaded = tabs.open(stock, built_in.url, thread_id=thread_id, agent_id=name)
    assert shown(reloaded.connect()["messages"]) == shown(live["messages"])
    after = said(reloaded, "thanks", "u2")
    assert problems(after) == []
    assert after["messages"][-1]["content"] == "You are welcome."


def test_the_signature_of_a_provider_is_kept_by_every_client_and_sent_back_to_it(
    stock: StockClient, built_in: Server, provider: MockProvider, tabs: Tabs, thread_id: str
) -> None:
    first = {**WEATHER[0], "response": {**WEATHER[0]["response"], "reasoningSignature": "of-anthropic"}}
    provider.add(first, *WEATHER[1:])
    said(tabs.open(stock, built_in.url, thread_id=thread_id, agent_id="anthropic"), "weather?")
    reloaded = tabs.open(stock, built_in.url, thread_id=thread_id, agent_id="anthropic")
    reloaded.connect()
    assert problems(said(reloaded, "thanks", "u2")) == []
    sent = provider.requests[-1].json["messages"]
    thinking = [block for m in sent for block in m["content"] if block["type"] == "thinking"]
    assert thinking == [{"type": "thinking", "thinking": "I look.", "signature": "of-anthropic"}]


def forced(name: str, body: dict[str, Any]) -> list[Any]:
    """The tools that a request to a provider offers, and its word for having to call one."""
    match name:
        case "openai":
            return [*(tool["name"] for tool in body["tools"]), body["tool_choice"]]
        case "openai-chat":
            return [*(tool["function"]["name"] for tool in body["tools"]), body["tool_choice"]]
        case "anthropic":
            return [*(tool["name"] for tool in body["tools"]), body["tool_choice"]["type"]]
        case _:
            [group] = body["tools"]
            mode = body["toolConfig"]["functionCallingConfig"]["mode"]
            return [*(tool["name"] for tool in group["functionDeclarations"]), mode]


FORCED = {"openai": "required", "openai-chat": "required", "anthropic": "any", "google": "ANY"}
SUGGESTIONS = [
    {"title": "More", "message": "Tell me more"},
    {"title": "Less", "message": "Rather tell me less"},
]


@pytest.mark.parametrize("name", PROVIDERS)
def test_suggestions_are_forced_from_every_provider_without_any_other_tool_and_without_waiting_for_servers(
    core: StockClient, built_in: Server, provider: MockProvider, tabs: Tabs, name: str
) -> None:
    thread_id = f"thread-{uuid.uuid4().hex}"
    suggest = {"id": "call_s1", "name": "copilotkitSuggest", "arguments": {"suggestions": SUGGESTIONS}}
    provider.add(
        {"match": {"userMessage": "Suggest what the user"}, "response": {"toolCalls": [suggest]}},
        {"match": {}, "response": {"content": "Hello."}},
    )
    tab = tabs.open(core, built_in.url, thread_id=thread_id, agent_id=name)
    live = said(tab, "hello")
    configuration = {"instructions": "Offer to go on", "providerAgentId": f"{name}-with-silent-mcp"}
    suggested = tab.call("suggest", configuration=configuration)["suggestions"]
    assert [{key: found[key] for key in ("title", "message")} for found in suggested] == SUGGESTIONS
    assert len(provider.requests) == 2
    body = provider.requests[-1].json
    assert forced(name, body) == ["copilotkitSuggest", FORCED[name]]
    # Anthropic refuses a forced tool while it thinks.
    assert body.get("thinking", {}).get("type") != "enabled"
    restored = tabs.open(core, built_in.url, thread_id=thread_id, agent_id=name).connect()
    assert shown(restored["messages"]) == shown(live["messages"])


def test_a_client_cannot_force_a_tool_of_the_server(
    stock: StockClient, built_in: Server, provider: MockProvider, tabs: Tabs, thread_id: str
) -> None:
    provider.add(*WEATHER)
    tab = tabs.open(stock, built_in.url, thread_id=thread_id, agent_id="openai")
    choice = {"type": "function", "function": {"name": "weather"}}
    assert problems(said(tab, "thanks", forwardedProps={"toolChoice": choice})) == []
    assert provider.requests[-1].json.get("tool_choice", "auto") == "auto"


@pytest.mark.parametrize("name", PROVIDERS)
def test_the_request_to_the_provider_is_closed_when_the_person_stops_the_answer(
    core: StockClient, built_in: Server, provider: MockProvider, tabs: Tabs, name: str
) -> None:
    thread_id = f"thread-{uuid.uuid4().hex}"
    endless = {"match": {}, "response": {"content": "word " * 2_000}, "latency": 100, "chunkSize": 5}
    provider.add(endless)
    tab = tabs.open(core, built_in.url, thread_id=thread_id, agent_id=name)
    tab.say("talk for ever", "u1")
    running = tab.begin_run()
    tab.wait(type="TEXT_MESSAGE_CONTENT")
    tab.call("stop")
    assert provider.requests[0].hung_up.wait(10)
    live = running.result(15)
    assert problems(live) == []
    assert types(live)[-1] == "RUN_FINISHED"
    assert live["messages"][-1]["content"].startswith("word ")


def test_a_provider_that_refuses_the_key_is_reported_without_it(
    stock: StockClient, built_in: Server, provider: MockProvider, tabs: Tabs, thread_id: str
) -> None:
    refusal = {"error": {"message": "Incorrect API key provided: sk-abcdefghijklmnop", "type": "x"}}
    provider.answer_once(401, refusal)
    live = said(tabs.open(stock, built_in.url, thread_id=thread_id, agent_id="openai"), "hello")
    assert [failure["code"] for failure in live["failures"]] == ["authentication_error"]
    assert live["events"][-1]["message"] == "Incorrect API key provided: [redacted]"
    assert "sk-abcdefgh" not in built_in.logged()
