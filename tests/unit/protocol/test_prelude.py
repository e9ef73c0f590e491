"""From the prelude any client version rebuilds a thread, however large it is."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from event_streams import JSON, MESSAGES
from jumpseat.protocol.codec import encode_json, encode_message
from jumpseat.protocol.history import ThreadView, prelude
from jumpseat.protocol.inputs import (
    ActivityMessage,
    AssistantMessage,
    BinaryPart,
    FunctionCall,
    ImagePart,
    Message,
    PartSource,
    TextPart,
    ToolCall,
    ToolMessage,
    UserMessage,
)

MIB = 1024 * 1024
NOW = datetime(2030, 1, 1, tzinfo=UTC)
OPEN = {"id": "i", "reason": "approval"}


def view(*messages: Message, **fields) -> ThreadView:
    encoded = [encode_message(message) for message in messages]
    return ThreadView(thread_id="t", run_id="r", messages=encoded, now=NOW, **fields)


def events(seen: ThreadView) -> list[dict]:
    return [json.loads(data) for data in prelude(seen)]


def types(seen: ThreadView) -> list[str]:
    return [event["type"] for event in events(seen)]


def rebuilt(seen: ThreadView) -> list[dict]:
    """Return the messages a client without history holds afterwards, checking the frame of every run."""
    messages: list[dict] = []
    running = False
    for event in events(seen):
        if event["type"] == "RUN_STARTED":
            assert not running
            messages += event.get("input", {}).get("messages", [])
        elif event["type"] == "MESSAGES_SNAPSHOT":
            assert messages == []
            messages += event["messages"]
        running = event["type"] != "RUN_FINISHED"
    assert not running
    return messages


@given(MESSAGES, JSON, st.booleans())
def test_a_client_holds_the_view_and_the_state_afterwards(messages, state, live):
    seen = view(*messages, state=encode_json(state), live=live)
    assert rebuilt(seen) == [json.loads(encode_message(message)) for message in messages]
    states = [event["snapshot"] for event in events(seen) if event["type"] == "STATE_SNAPSHOT"]
    assert states == ([] if state in (None, {}) and state is not False else [state])


def test_the_events_come_in_one_order_with_the_runs_ids():
    custom = b'{"type":"CUSTOM","name":"on_interrupt","value":1}'
    seen = view(
        UserMessage(id="u", content="x"),
        state=b'{"a":1}',
        customs=[custom],
        error=("CODE", "text", "run"),
        result={"n": 1},
        interrupts=[OPEN],
    )
    assert prelude(seen) == [
        b'{"type":"RUN_STARTED","threadId":"t","runId":"r"}',
        (
            b'{"type":"MESSAGES_SNAPSHOT","messages":[{"role":"user","id":"u","content":"x"}],'
            b'"metadata":{"@ag-ui/client":{"authoritativeActivityTypes":null}}}'
        ),
        b'{"type":"STATE_SNAPSHOT","snapshot":{"a":1}}',
        custom,
        (
            b'{"type":"CUSTOM","name":"jumpseat.run_error","value":'
            b'{"runId":"run","code":"CODE","message":"text"}}'
        ),
        (
            b'{"type":"RUN_FINISHED","threadId":"t","runId":"r","result":{"n":1},'
            b'"outcome":{"type":"interrupt","interrupts":[{"id":"i","reason":"approval"}]}}'
        ),
    ]


def test_an_empty_thread_gives_an_empty_snapshot_and_nothing_more():
    assert types(view()) == ["RUN_STARTED", "MESSAGES_SNAPSHOT", "RUN_FINISHED"]


def test_what_is_open_or_failed_is_not_repeated_while_a_run_is_live():
    seen = view(live=True, customs=[b'{"type":"CUSTOM"}'], error=("C", "m", "r"), interrupts=[OPEN])
    assert types(seen) == ["RUN_STARTED", "MESSAGES_SNAPSHOT", "RUN_FINISHED"]
    assert "outcome" not in events(seen)[-1]


@pytest.mark.parametrize("state", [None, b"null", b"{}"])
def test_an_empty_state_is_not_sent(state):
    assert "STATE_SNAPSHOT" not in types(view(state=state))


@pytest.mark.parametrize("state", [b"[]", b"0", b"false", b'""', b'{"a":{}}'])
def test_any_other_state_is_sent(state):
    assert events(view(state=state))[2] == {"type": "STATE_SNAPSHOT", "snapshot": json.loads(state)}


@pytest.mark.parametrize(
    ("expires_at", "offered"),
    [
        (None, True),
        ("2030-01-01T00:00:01Z", True),
        ("2030-01-01T00:00:00Z", False),
        ("2029-12-31T23:59:59.5+00:00", False),
        ("2030-01-01T01:00:00+02:00", False),
        ("2029-12-31", False),
        ("2031-01-01T00:00:00", True),
        ("some day", True),
        (5, True),
    ],
)
def test_only_interrupts_that_have_not_expired_are_offered(expires_at, offered):
    finished = events(view(interrupts=[{**OPEN, "expiresAt": expires_at}]))[-1]
    assert ("outcome" in finished) is offered


def test_an_interrupt_carries_no_nulls_because_clients_refuse_them():
    finished = events(view(interrupts=[{**OPEN, "subagentRunId": None}]))[-1]
    assert finished["outcome"]["interrupts"] == [OPEN]


def test_a_reasoning_message_in_progress_ends_the_snapshot_empty():
    seen = view(UserMessage(id="u", content="x"), live=True, tail_reasoning="r1")
    assert rebuilt(seen)[-1] == {"id": "r1", "role": "reasoning", "content": ""}


def test_parts_that_some_clients_do_not_know_are_sent_in_the_form_all_know():
    parts = [
        TextPart(text="see"),
        BinaryPart(mime_type="image/png", data="aGk=", filename="f.png"),
        BinaryPart(mime_type="audio/wav", url="https://x/a.wav"),
        BinaryPart(mime_type="application/pdf", url="https://x/a.pdf"),
        BinaryPart(mime_type="image/png", id="only-a-handle"),
    ]
    (message,) = rebuilt(view(UserMessage(id="u", content=parts, extra={"k": 1})))
    assert message["k"] == 1
    assert message["content"] == [
        {"type": "text", "text": "see"},
        {
            "type": "image",
            "source": {"type": "data", "value": "aGk=", "mimeType": "image/png"},
            "metadata": {"filename": "f.png"},
        },
        {"type": "audio", "source": {"type": "url", "value": "https://x/a.wav", "mimeType": "audio/wav"}},
        {
            "type": "document",
            "source": {"type": "url", "value": "https://x/a.pdf", "mimeType": "application/pdf"},
        },
        {"type": "binary", "id": "only-a-handle", "mimeType": "image/png"},
    ]


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ([TextPart(text="a"), TextPart(text="b")], "ab"),
        (
            [TextPart(text="a"), BinaryPart(mime_type="a/b", id="x")],
            '[{"type":"text","text":"a"},{"type":"binary","id":"x","mimeType":"a/b"}]',
        ),
        ([], ""),
    ],
)
def test_parts_of_a_tool_message_are_sent_as_text(content, text):
    (message,) = rebuilt(view(ToolMessage(id="t", tool_call_id="c", content=content)))
    assert message == {"role": "tool", "id": "t", "toolCallId": "c", "content": text}


def test_text_that_looks_like_an_old_part_is_left_alone():
    text = '{"type":"binary","content":["role":"tool"]}'
    assert rebuilt(view(UserMessage(id="u", content=text)))[0]["content"] == text


def test_a_large_view_comes_in_parts_that_keep_the_order():
    messages = [UserMessage(id=str(number), content=str(number % 10) * 3 * MIB) for number in range(7)]
    seen = view(*messages, state=b"[1]", interrupts=[OPEN])
    assert all(len(event) <= 8 * MIB for event in prelude(seen))
    assert types(seen) == [
        "RUN_STARTED",
        "MESSAGES_SNAPSHOT",
        *["RUN_FINISHED", "RUN_STARTED"] * 3,
        "STATE_SNAPSHOT",
        "RUN_FINISHED",
    ]
    assert rebuilt(seen) == [json.loads(data) for data in seen.messages]
    further = events(seen)[3]
    assert {**further["input"], "messages": []} == {
        "threadId": "t",
        "runId": "r",
        "state": None,
        "messages": [],
        "tools": [],
        "context": [],
        "forwardedProps": {},
    }
    assert all("outcome" not in event for event in events(seen)[:-1])


def test_a_message_that_just_fits_is_sent_as_it_is():
    seen = view(UserMessage(id="u", content="x" * (8 * MIB - 2048)))
    assert rebuilt(seen) == [json.loads(seen.messages[0])]


def test_a_state_over_the_limit_is_left_out():
    assert "STATE_SNAPSHOT" not in types(view(state=b'"' + b"x" * 8 * MIB + b'"'))


def test_the_attachment_of_a_message_over_the_limit_is_replaced_by_a_note():
    image = ImagePart(source=PartSource(type="data", value="A" * 9 * MIB, mime_type="image/png"))
    small = ImagePart(source=PartSource(type="data", value="B", mime_type="image/png"))
    text = TextPart(text="x" * 1000)
    seen = view(UserMessage(id="u", content=[text, image, small]), UserMessage(id="v", content="y"))
    assert all(len(event) <= 8 * MIB for event in prelude(seen))
    message, other = rebuilt(seen)
    assert message["content"] == [
        {"type": "text", "text": "x" * 1000},
        {"type": "text", "text": f"[omitted: {9 * MIB} bytes]"},
        {"type": "image", "source": {"type": "data", "value": "B", "mimeType": "image/png"}},
    ]
    assert other["content"] == "y"


def test_without_attachments_the_longest_texts_of_such_a_message_are_replaced():
    calls = [ToolCall(id=i, function=FunctionCall(name="f", arguments="x" * 5 * MIB)) for i in ("c", "d")]
    seen = view(AssistantMessage(id="a", content="é" * 100, tool_calls=calls))
    (message,) = rebuilt(seen)
    omitted = f"[omitted: {5 * MIB} bytes]"
    assert message["content"] == "é" * 100
    assert sorted(call["function"]["arguments"][:20] for call in message["toolCalls"]) == sorted(
        [omitted[:20], "x" * 20]
    )


@pytest.mark.parametrize(
    ("message", "kept"),
    [
        (
            ActivityMessage(id="x", activity_type="a", content={"numbers": list(range(1_500_000))}),
            {"role": "activity", "id": "x", "activityType": "a"},
        ),
        (UserMessage(id="u" * 3, content=[TextPart(text="x" * 60)] * 110_000), {"role": "user", "id": "uuu"}),
    ],
    ids=["activity", "parts"],
)
def test_a_message_that_is_large_without_long_texts_keeps_only_its_place(message, kept):
    seen = view(message)
    assert all(len(event) <= 8 * MIB for event in prelude(seen))
    (sent,) = rebuilt(seen)
    assert {key: sent[key] for key in kept} == kept
    assert "omitted" in str(sent["content"])
