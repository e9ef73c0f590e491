"""What a model is given of a thread: every kind of message, and threads in any state."""

import copy
import logging
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drawn_threads import IDS, MESSAGES
from jumpseat.agents.builtin.conversation import to_model_messages, with_resume_results
from jumpseat.agents.builtin.language_model import (
    AssistantTurn,
    MediaData,
    MediaUrl,
    RequestedCall,
    SystemText,
    Text,
    Thinking,
    ToolReturn,
    UserTurn,
)
from jumpseat.agents.builtin.reasoning import Signature, encrypted_value
from jumpseat.protocol.inputs import (
    ActivityMessage,
    AssistantMessage,
    AudioPart,
    BinaryPart,
    DeveloperMessage,
    DocumentPart,
    FunctionCall,
    ImagePart,
    Message,
    PartSource,
    ReasoningMessage,
    ResumeEntry,
    SystemMessage,
    TextPart,
    ToolCall,
    ToolMessage,
    UserMessage,
    VideoPart,
)

NO_RESULT = '{"error":"No result was recorded for this tool call."}'


def call(call_id: str, arguments: str = "{}", name: str = "f", encrypted: str | None = None) -> ToolCall:
    function = FunctionCall(name=name, arguments=arguments)
    return ToolCall(id=call_id, function=function, encrypted_value=encrypted)


def user(content, message_id: str = "u") -> UserMessage:
    return UserMessage(id=message_id, content=content)


def assistant(content: str | None = None, *calls: ToolCall) -> AssistantMessage:
    return AssistantMessage(id="a", content=content, tool_calls=list(calls) or None)


def result(call_id: str, content="1") -> ToolMessage:
    return ToolMessage(id=f"m-{call_id}", content=content, tool_call_id=call_id)


def convert(*messages: Message, system: str | None = None, provider: str | None = None, **options):
    warnings: list[str] = []
    turns = to_model_messages(messages, system=system, provider=provider, warn=warnings.append, **options)
    return turns, warnings


def converted(*messages: Message, **options):
    turns, warnings = convert(*messages, **options)
    assert warnings == []
    return turns


SYSTEM = SystemMessage(id="s", content="sys")
DEVELOPER = DeveloperMessage(id="d", content="dev")


def test_system_and_developer_messages_are_dropped_by_default():
    assert converted(SYSTEM, user("hi"), DEVELOPER) == [UserTurn(content="hi")]


def test_forwarded_messages_keep_their_place_and_the_system_prompt_comes_first():
    turns = converted(
        user("hi"),
        SYSTEM,
        DEVELOPER,
        system="first",
        forward_system_messages=True,
        forward_developer_messages=True,
    )
    assert turns == [
        SystemText(content="first"),
        UserTurn(content="hi"),
        SystemText(content="sys"),
        SystemText(content="dev"),
    ]


def test_each_forward_option_concerns_its_own_role():
    assert converted(SYSTEM, DEVELOPER, forward_system_messages=True) == [SystemText(content="sys")]
    assert converted(SYSTEM, DEVELOPER, forward_developer_messages=True) == [SystemText(content="dev")]


def test_a_forwarded_message_without_content_is_empty():
    empty = SystemMessage(id="s", content=None)  # type: ignore[arg-type]
    assert converted(empty, forward_system_messages=True) == [SystemText(content="")]


@pytest.mark.parametrize("system", [None, ""])
def test_without_a_system_prompt_there_is_no_system_text(system):
    assert converted(user("hi"), system=system) == [UserTurn(content="hi")]


@pytest.mark.parametrize(
    ("content", "seen"),
    [
        ("hi", "hi"),
        ("", ""),
        (None, ""),
        ([], ""),
        ([TextPart(text="")], ""),
        ([TextPart(text="a"), TextPart(text=""), TextPart(text="b")], [Text(text="a"), Text(text="b")]),
    ],
)
def test_what_a_person_wrote(content, seen):
    assert converted(user(content)) == [UserTurn(content=seen)]


def data(value: str, mime_type: str | None = "image/png") -> PartSource:
    return PartSource(type="data", value=value, mime_type=mime_type)


def url(value: str, mime_type: str | None = None) -> PartSource:
    return PartSource(type="url", value=value, mime_type=mime_type)


PNG = MediaData(data=b"\x89PNG", media_type="image/png")


@pytest.mark.parametrize(
    ("part", "seen"),
    [
        (ImagePart(source=data("iVBORw==")), PNG),
        (AudioPart(source=data("aGk=", "audio/wav")), MediaData(data=b"hi", media_type="audio/wav")),
        (VideoPart(source=data("aGk=", "video/mp4")), MediaData(data=b"hi", media_type="video/mp4")),
        (
            DocumentPart(source=data("aGk=", "application/pdf"), metadata={"filename": "a.pdf"}),
            MediaData(data=b"hi", media_type="application/pdf", filename="a.pdf"),
        ),
        (ImagePart(source=data("iVBO\nRw==")), PNG),
        (ImagePart(source=data("iVBORw")), PNG),
        (ImagePart(source=data("_-8=")), MediaData(data=b"\xff\xef", media_type="image/png")),
        (ImagePart(source=data("data:image/png;base64,iVBORw==", "image/gif")), PNG),
        (ImagePart(source=data("")), MediaData(data=b"", media_type="image/png")),
        (
            ImagePart(source=url("https://a.example/b.png")),
            MediaUrl(url="https://a.example/b.png", kind="image"),
        ),
        (
            AudioPart(source=url(" http://a.example:8080/b ", "audio/wav")),
            MediaUrl(url="http://a.example:8080/b", kind="audio", media_type="audio/wav"),
        ),
        (VideoPart(source=url("HTTPS://a.example/b")), MediaUrl(url="HTTPS://a.example/b", kind="video")),
        (
            DocumentPart(source=url("https://[::1]/b")),
            MediaUrl(url="https://[::1]/b", kind="document"),
        ),
        (ImagePart(source=url("data:image/png;base64,iVBORw==")), PNG),
        (
            DocumentPart(source=url("data:,a%20b", "text/x")),
            MediaData(data=b"a b", media_type="text/x"),
        ),
        (
            DocumentPart(source=url("data:text/plain;charset=utf-8;base64,aGk%3D")),
            MediaData(data=b"hi", media_type="text/plain"),
        ),
        (
            BinaryPart(mime_type="image/png", data="iVBORw==", url="https://a.example/b", filename="x.png"),
            MediaData(data=b"\x89PNG", media_type="image/png", filename="x.png"),
        ),
        (
            BinaryPart(mime_type="", data="aGk="),
            MediaData(data=b"hi", media_type="application/octet-stream"),
        ),
        (
            BinaryPart(mime_type="image/png", url="https://a.example/b"),
            MediaUrl(url="https://a.example/b", kind="binary", media_type="image/png"),
        ),
    ],
)
def test_every_kind_of_media(part, seen):
    before = copy.deepcopy(part)
    assert converted(user([part])) == [UserTurn(content=[seen])]
    assert part == before


@pytest.mark.parametrize(
    "part",
    [
        ImagePart(source=url("file:///etc/passwd")),
        ImagePart(source=url("ftp://a.example/b")),
        ImagePart(source=url("blob:https://a.example/b")),
        ImagePart(source=url("not a url")),
        ImagePart(source=url("")),
        ImagePart(source=url("https://")),
        ImagePart(source=url("https:///b")),
        ImagePart(source=url("https://a.example:99999/b")),
        ImagePart(source=url("https://a b/c")),
        ImagePart(source=url("https://[::1")),
        ImagePart(source=url("data:image/png;base64")),
        ImagePart(source=url("data:image/png;base64,%")),
        ImagePart(source=data("***")),
        ImagePart(source=data("ü")),
        ImagePart(source=data("abcde")),
        ImagePart(source=PartSource(type="file", value="file_1", provider="openai")),
        BinaryPart(mime_type="image/png", id="only-an-id"),
        {"type": "hologram"},
    ],
)
def test_a_part_that_no_model_takes_is_skipped_with_a_warning_and_its_neighbours_stay(part):
    turns, warnings = convert(user([TextPart(text="a"), part, TextPart(text="b")], "m1"))
    assert turns == [UserTurn(content=[Text(text="a"), Text(text="b")])]
    assert len(warnings) == 1
    assert warnings[0].startswith("message 'm1': left out a part of a message: ")


def test_warnings_hold_no_content():
    _, warnings = convert(user([ImagePart(source=url("file:///secret/place"))]))
    assert "secret" not in warnings[0]


def test_a_message_of_unusable_parts_is_empty():
    turns, _ = convert(user([ImagePart(source=url("file:///x"))]))
    assert turns == [UserTurn(content="")]


def test_warnings_are_logged_by_default(caplog):
    with caplog.at_level(logging.WARNING):
        to_model_messages([user([ImagePart(source=url("file:///x"))])], system=None, provider=None)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert caplog.records[0].name.startswith("jumpseat.")


def test_an_answer_is_its_text_and_then_its_calls():
    turns = converted(
        assistant("x", call("1", '{"a":1}'), call("2", name="g")), result("2", "two"), result("1")
    )
    assert turns == [
        AssistantTurn(
            content=[
                Text(text="x"),
                RequestedCall(id="1", name="f", arguments={"a": 1}),
                RequestedCall(id="2", name="g", arguments={}),
            ]
        ),
        ToolReturn(tool_call_id="1", name="f", content="1"),
        ToolReturn(tool_call_id="2", name="g", content="two"),
    ]


@pytest.mark.parametrize("content", [None, ""])
def test_an_empty_answer_is_dropped(content):
    assert converted(user("hi"), assistant(content)) == [UserTurn(content="hi")]


def test_calls_need_no_text():
    assert converted(assistant(None, call("1")), result("1"))[0] == AssistantTurn(
        content=[RequestedCall(id="1", name="f", arguments={})]
    )


@pytest.mark.parametrize(
    "arguments", ["[1]", "null", "42", '"text"', "{broken", "NaN", '{"a":NaN}', "[" * 5_000]
)
def test_arguments_that_are_no_object_become_an_empty_one_with_a_warning(arguments):
    turns, warnings = convert(assistant("x", call("c1", arguments)), result("c1"))
    assert turns[0] == AssistantTurn(content=[Text(text="x"), RequestedCall(id="c1", name="f", arguments={})])
    assert warnings == ["call 'c1': its arguments are not a JSON object, the model sees {}"]


@pytest.mark.parametrize("arguments", ["", "{}", " { } ", '{"a":{"b":[1,null]}}'])
def test_arguments_that_are_an_object_or_nothing_raise_no_warning(arguments):
    assert convert(assistant("x", call("c1", arguments)), result("c1"))[1] == []


def test_a_repeated_call_with_one_sound_version_raises_no_warning():
    turns, warnings = convert(assistant("x", call("c1", '{"a":')), assistant("y", call("c1", '{"a":1}')))
    assert turns[0] == AssistantTurn(
        content=[Text(text="x"), RequestedCall(id="c1", name="f", arguments={"a": 1})]
    )
    assert warnings == []


def test_half_of_a_surrogate_pair_in_arguments_can_be_sent():
    turns = converted(assistant(None, call("1", '{"a":"\\ud83d"}')), result("1"))
    assert turns[0] == AssistantTurn(content=[RequestedCall(id="1", name="f", arguments={"a": "\ufffd"})])


@pytest.mark.parametrize(
    ("content", "seen"),
    [
        ("text", "text"),
        ("", ""),
        ([], ""),
        ([TextPart(text="a"), ImagePart(source=data("aGk=")), TextPart(text="b")], "ab"),
    ],
)
def test_a_result_is_its_text(content, seen):
    assert converted(assistant(None, call("1")), result("1", content))[1] == ToolReturn(
        tool_call_id="1", name="f", content=seen
    )


def test_activity_and_what_is_no_message_are_dropped():
    activity = ActivityMessage(id="x", activity_type="plan", content={})
    assert converted(activity, user("hi"), {"role": "alien"}) == [UserTurn(content="hi")]  # type: ignore[arg-type]


def test_a_thread_in_disorder_is_repaired():
    turns = converted(
        result("orphan"),
        assistant("x", call("1"), call("2")),
        user("go on"),
        result("2", "late"),
        result("2", "later"),
    )
    assert turns[1:] == [
        ToolReturn(tool_call_id="1", name="f", content=NO_RESULT),
        ToolReturn(tool_call_id="2", name="f", content="later"),
        UserTurn(content="go on"),
    ]


def reasoning(text: str, encrypted: str | None) -> ReasoningMessage:
    return ReasoningMessage(id="r", content=text, encrypted_value=encrypted)


def test_signed_reasoning_comes_back_in_front_of_the_answer_it_led_to():
    turns = converted(
        user("hi"),
        reasoning("hm", encrypted_value("anthropic", "s1")),
        reasoning("ah", encrypted_value("anthropic", "s2", "id2", {"k": 1})),
        assistant("x", call("1")),
        result("1"),
        assistant("y"),
        provider="anthropic",
    )
    assert turns[1] == AssistantTurn(
        content=[
            Thinking(text="hm", signature="s1", provider="anthropic"),
            Thinking(text="ah", signature="s2", provider="anthropic", id="id2", details={"k": 1}),
            Text(text="x"),
            RequestedCall(id="1", name="f", arguments={}),
        ]
    )
    assert turns[3] == AssistantTurn(content=[Text(text="y")])


@pytest.mark.parametrize("provider", [None, "openai"])
@pytest.mark.parametrize("encrypted", [None, "gAAAA", encrypted_value("anthropic", "s")])
def test_unsigned_and_foreign_reasoning_is_dropped(provider, encrypted):
    turns = converted(
        reasoning("hm", encrypted),
        assistant("x", call("1", encrypted=encrypted)),
        result("1"),
        provider=provider,
    )
    assert turns[0] == AssistantTurn(content=[Text(text="x"), RequestedCall(id="1", name="f", arguments={})])


def test_reasoning_that_led_to_no_answer_is_not_given_to_the_next_one():
    turns = converted(
        reasoning("hm", encrypted_value("anthropic", "s")), user("stop"), assistant("x"), provider="anthropic"
    )
    assert turns == [UserTurn(content="stop"), AssistantTurn(content=[Text(text="x")])]


def test_reasoning_at_the_end_of_a_thread_is_dropped():
    assert converted(reasoning("hm", encrypted_value("a", "s")), provider="a") == []


def test_a_signature_of_a_call_is_attached_to_it():
    turns = converted(assistant(None, call("1", encrypted=encrypted_value("google", "s"))), provider="google")
    assert turns[0] == AssistantTurn(
        content=[RequestedCall(id="1", name="f", arguments={}, signature="s", provider="google")]
    )


def test_hidden_reasoning_kept_on_a_call_comes_back_in_front_of_the_answer():
    encrypted = encrypted_value("openai", "s", "rs_1")
    turns = converted(assistant("x", call("1", encrypted=encrypted)), provider="openai")
    assert turns[0] == AssistantTurn(
        content=[
            Thinking(text="", signature="s", provider="openai", id="rs_1"),
            Text(text="x"),
            RequestedCall(id="1", name="f", arguments={}),
        ]
    )


def test_all_reasoning_hidden_before_a_call_comes_back_in_its_order():
    hidden = [
        Signature(provider="anthropic", signature="first"),
        Signature(provider="anthropic", signature="second", id="redacted_thinking"),
    ]
    encrypted = encrypted_value("anthropic", "own", earlier=hidden)
    turns = converted(assistant("x", call("1", encrypted=encrypted)), provider="anthropic")
    assert turns[0] == AssistantTurn(
        content=[
            Thinking(text="", signature="first", provider="anthropic"),
            Thinking(text="", signature="second", provider="anthropic", id="redacted_thinking"),
            Text(text="x"),
            RequestedCall(id="1", name="f", arguments={}, signature="own", provider="anthropic"),
        ]
    )
    foreign = converted(assistant("x", call("1", encrypted=encrypted)), provider="openai")
    assert foreign[0] == AssistantTurn(
        content=[Text(text="x"), RequestedCall(id="1", name="f", arguments={})]
    )


def test_nothing_of_the_input_is_changed():
    messages = [user([ImagePart(source=data("aGk="))]), assistant("x", call("1", "{"), call("1", "{}"))]
    before = copy.deepcopy(messages)
    convert(*messages)
    assert messages == before


RESUMES = st.lists(
    st.builds(
        ResumeEntry,
        interrupt_id=IDS,
        status=st.sampled_from(["resolved", "cancelled"]),
        payload=st.sampled_from([None, 0, "", {"a": "\ud800"}, float("nan")]),
    )
)


@given(st.lists(MESSAGES, max_size=12), RESUMES, st.sampled_from([None, "", "sys"]), st.booleans())
def test_whatever_a_thread_holds_every_call_has_exactly_one_result_directly_behind_its_turn(
    messages, resume, system, forward
):
    extended = with_resume_results(messages, resume, [].append)
    turns, _ = convert(
        *extended,
        system=system,
        provider="p",
        forward_system_messages=forward,
        forward_developer_messages=forward,
    )
    called: set[str] = set()
    waiting: list[str] = []
    for turn in turns:
        if isinstance(turn, ToolReturn):
            assert turn.tool_call_id == waiting.pop(0)
            continue
        assert waiting == []
        if isinstance(turn, AssistantTurn):
            assert any(isinstance(part, (Text, RequestedCall)) for part in turn.content)
            waiting = [part.id for part in turn.content if isinstance(part, RequestedCall)]
            assert len(called | set(waiting)) == len(called) + len(waiting)
            called.update(waiting)
    assert waiting == []
    assert called == {one.id for message in messages for one in getattr(message, "tool_calls", None) or ()}


def resumed(*entries: ResumeEntry, messages=None):
    warnings: list[str] = []
    before = messages or [assistant(None, call("1"), call("2"))]
    extended = with_resume_results(before, entries, warnings.append)
    assert extended[: len(before)] == before
    return extended[len(before) :], warnings


@pytest.mark.parametrize(
    ("entry", "content"),
    [
        (ResumeEntry(interrupt_id="1", status="resolved", payload={"ok": True}), '{"ok":true}'),
        (ResumeEntry(interrupt_id="1", status="resolved", payload="yes ü"), '"yes ü"'),
        (ResumeEntry(interrupt_id="1", status="resolved", payload=0), "0"),
        (ResumeEntry(interrupt_id="1", status="resolved", payload=False), "false"),
        (ResumeEntry(interrupt_id="1", status="resolved", payload=""), '""'),
        (ResumeEntry(interrupt_id="1", status="resolved"), '{"status":"resolved"}'),
        (ResumeEntry(interrupt_id="1", status="cancelled", payload={"ok": True}), '{"status":"cancelled"}'),
    ],
)
def test_an_answer_becomes_the_result_of_its_call(entry, content):
    assert resumed(entry) == ([ToolMessage(id="1-result", content=content, tool_call_id="1")], [])


def test_an_answer_to_no_call_is_left_out_with_a_warning():
    added, warnings = resumed(ResumeEntry(interrupt_id="nope", status="resolved"))
    assert added == []
    assert warnings == ["ignored the answer to interrupt 'nope': no message has a call with this id"]


def test_a_call_that_has_a_result_keeps_it():
    messages = [assistant(None, call("1")), result("1", "kept")]
    assert resumed(ResumeEntry(interrupt_id="1", status="resolved"), messages=messages) == ([], [])


def test_the_first_of_two_answers_counts():
    added, warnings = resumed(
        ResumeEntry(interrupt_id="1", status="resolved", payload=1),
        ResumeEntry(interrupt_id="1", status="cancelled"),
    )
    assert [message.content for message in added] == ["1"]
    assert warnings == []


def test_without_answers_the_messages_stay_as_they_are():
    messages = [user("hi")]
    assert with_resume_results(messages, None) == messages
    assert with_resume_results(messages, None) is not messages


def test_a_call_left_unanswered_by_a_partial_answer_says_so_to_the_model():
    messages = [assistant(None, call("1"), call("2")), user("and?")]
    extended = with_resume_results(messages, [ResumeEntry(interrupt_id="2", status="resolved", payload=[1])])
    assert converted(*extended)[1:] == [
        ToolReturn(tool_call_id="1", name="f", content=NO_RESULT),
        ToolReturn(tool_call_id="2", name="f", content="[1]"),
        UserTurn(content="and?"),
    ]


def calls_made(work) -> int:
    made = 0

    def count(_frame, event, _argument):
        nonlocal made
        made += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        work()
    finally:
        sys.setprofile(None)
    return made


def test_the_cost_is_linear_in_the_messages():
    def thread(answers: int) -> list[Message]:
        made: list[Message] = []
        for number in range(answers):
            made += [user("hi"), assistant("x", call(str(number), '{"a":1}')), result(str(number))]
        return made

    small, large = thread(200), thread(800)
    assert calls_made(lambda: converted(*large)) < 4.5 * calls_made(lambda: converted(*small))
