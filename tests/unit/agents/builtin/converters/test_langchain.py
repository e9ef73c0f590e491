"""Streams of LangChain chat models, from the libraries and as recorded dicts."""

from typing import Any

import pytest
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, ToolMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_openai import ChatOpenAI

from chat_models import calls, says, scripted
from converting import kinds, only, parts_of, said
from jumpseat.agents.builtin.converters.langchain import open_langchain
from jumpseat.agents.builtin.parts import (
    ReasoningDelta,
    ReasoningEnd,
    StepBreak,
    TextDelta,
    TextEnd,
    TextStart,
    ToolCall,
    ToolFailure,
    ToolInputDelta,
    ToolInputEnd,
    ToolInputStart,
    ToolResult,
    Usage,
    UsageReport,
)
from jumpseat.protocol.events import ToolCallResult
from mock_provider import TEST_KEY, MockProvider
from provider_answers import HELLO, WEATHER

FUNCTION = {
    "name": "weather",
    "description": "The weather",
    "parameters": {"type": "object", "properties": {}},
}
APIS: dict[str, dict[str, Any]] = {
    "chat": {"use_responses_api": False},
    "responses": {"use_responses_api": True},
    "responses-v1": {"use_responses_api": True, "output_version": "v1"},
}


def text(parts: list[Any]) -> str:
    return "".join(part.delta for part in only(TextDelta, parts))


@pytest.fixture(params=APIS)
async def chat_model(request: pytest.FixtureRequest, provider: MockProvider):
    provider.add(*WEATHER, HELLO)
    return ChatOpenAI(
        base_url=provider.openai_url,
        api_key=TEST_KEY,  # type: ignore[arg-type]
        model="gpt-5",
        stream_usage=True,
        max_retries=0,
        **APIS[request.param],
    )


# --- the libraries


async def test_a_fake_model_speaks():
    model = GenericFakeChatModel(messages=iter([AIMessage(content="hello big world", id="ai1")]))
    parts = await parts_of(open_langchain, model.astream("hi"))
    assert text(parts) == "hello big world"
    assert {part.id for part in only(TextDelta, parts)} == {"ai1"}


async def test_an_openai_model_speaks_in_one_message(chat_model: ChatOpenAI):
    parts = await parts_of(open_langchain, chat_model.astream("hello"))
    assert text(parts) == "Hello there, my good friend."
    assert len({part.id for part in only(TextDelta, parts)}) == 1
    assert not only(StepBreak, parts)
    (report,) = only(UsageReport, parts)
    assert (report.usage.provider, report.usage.model) == ("openai", "gpt-5")
    assert isinstance(report.usage.output_tokens, int)


async def test_an_openai_model_calls_tools(chat_model: ChatOpenAI):
    bound = chat_model.bind_tools([{"type": "function", "function": FUNCTION}])
    parts = await parts_of(open_langchain, bound.astream("weather"))
    assert [part for part in parts if "ToolInput" in type(part).__name__] == [
        ToolInputStart(id="call_1", name="weather"),
        ToolInputDelta(id="call_1", delta='{"city":"Rome"}'),
        ToolInputEnd(id="call_1"),
        ToolInputStart(id="call_2", name="weather"),
        ToolInputDelta(id="call_2", delta='{"city":"Oslo"}'),
        ToolInputEnd(id="call_2"),
    ]
    (report,) = only(UsageReport, parts)
    assert (report.usage.input_tokens, report.usage.output_tokens) == (10, 5)


async def test_an_openai_model_reasons(provider: MockProvider):
    provider.add(HELLO)
    model = ChatOpenAI(
        base_url=provider.openai_url,
        api_key=TEST_KEY,  # type: ignore[arg-type]
        model="gpt-5",
        use_responses_api=True,
    )
    parts = await parts_of(open_langchain, model.astream("hello"))
    assert only(ReasoningDelta, parts) == [ReasoningDelta(delta="A greeting.")]


async def test_a_chain_that_ends_in_texts_speaks():
    chain = scripted([says("Good "), says("day")]) | StrOutputParser()
    assert text(await parts_of(open_langchain, chain.astream("hi"))) == "Good day"


async def test_chunks_as_dicts_say_the_same():
    script = [says("Good "), calls("f", '{"a":', "c1"), calls(None, "1}", None), says("day")]
    chunks = [chunk async for chunk in scripted(script).astream("hi")]
    parts = await said(open_langchain, chunks)
    assert parts == await said(open_langchain, [chunk.model_dump() for chunk in chunks])
    assert kinds(parts) == [
        "TextDelta",
        "ToolInputStart",
        "ToolInputDelta",
        "ToolInputDelta",
        "TextDelta",
        "ToolInputEnd",
    ]


async def test_a_failure_is_raised():
    with pytest.raises(ConnectionError, match="gone"):
        await parts_of(open_langchain, scripted([says("a"), ConnectionError("gone")]).astream("hi"))


# --- chunks


async def test_the_id_of_a_call_comes_only_on_its_first_chunk():
    chunks = [
        calls("f", "", "c1", 0, id="m1"),
        calls(None, '{"a":', None, 0, id="m1"),
        calls(None, "1}", None, 0, id="m1"),
        calls("g", "", "c2", 1, id="m1"),
        calls(None, "{}", None, 1, id="m1"),
        says(id="m1", chunk_position="last"),
    ]
    assert await said(open_langchain, chunks) == [
        ToolInputStart(id="c1", name="f"),
        ToolInputDelta(id="c1", delta='{"a":'),
        ToolInputDelta(id="c1", delta="1}"),
        ToolInputEnd(id="c1"),
        ToolInputStart(id="c2", name="g"),
        ToolInputDelta(id="c2", delta="{}"),
        ToolInputEnd(id="c2"),
    ]


async def test_the_id_of_a_message_may_come_only_on_its_first_chunk():
    chunks = [
        {"type": "AIMessageChunk", "content": "a", "id": "m1"},
        {"type": "AIMessageChunk", "content": "b", "id": None},
    ]
    assert await said(open_langchain, chunks) == [
        TextDelta(delta="a", id="m1"),
        TextDelta(delta="b", id="m1"),
    ]


async def test_a_first_chunk_may_name_its_message_otherwise():
    chunks = [
        says([], id="resp_1"),
        calls("f", "", "c1", id="resp_1"),
        calls(None, "{}", None, id="run_1"),
        says("a", id="run_1"),
    ]
    assert await said(open_langchain, chunks) == [
        ToolInputStart(id="c1", name="f"),
        ToolInputDelta(id="c1", delta="{}"),
        TextDelta(delta="a", id="run_1"),
        ToolInputEnd(id="c1"),
    ]


async def test_calls_with_the_same_index_in_two_messages_are_two():
    chunks = [
        calls("f", "{}", "c1", id="m1"),
        says(id="m1", chunk_position="last"),
        calls("f", "{}", "c2", id="m2"),
        says(id="m2", chunk_position="last"),
    ]
    parts = await said(open_langchain, chunks)
    assert [start.id for start in only(ToolInputStart, parts)] == ["c1", "c2"]
    assert len(only(StepBreak, parts)) == 1


async def test_calls_without_an_index_or_an_id_are_told_apart():
    chunks = [calls("f", "{}", "c1", None), calls("g", "{}", "c2", None), calls("h", "{}", None, None)]
    starts = only(ToolInputStart, await said(open_langchain, chunks))
    assert [start.name for start in starts] == ["f", "g", "h"]
    assert [start.id for start in starts][:2] == ["c1", "c2"]
    assert starts[2].id.startswith("call_")


async def test_two_messages_that_stream_at_once_do_not_end_each_other():
    chunks = [
        calls("f", '{"a":', "c1", id="m1"),
        calls("g", '{"b":', "c2", id="m2"),
        calls(None, "1}", None, id="m1"),
        calls(None, "2}", None, id="m2"),
        says(id="m1", chunk_position="last"),
        says(id="m2", chunk_position="last"),
    ]
    parts = await said(open_langchain, chunks)
    assert not only(StepBreak, parts)
    assert [(part.id, part.delta) for part in only(ToolInputDelta, parts)] == [
        ("c1", '{"a":'),
        ("c2", '{"b":'),
        ("c1", "1}"),
        ("c2", "2}"),
    ]


async def test_counts_of_one_message_are_added_up():
    def counted(given: int, made: int, **details: Any) -> Any:
        return {"input_tokens": given, "output_tokens": made, "total_tokens": given + made, **details}

    chunks = [
        says("a", id="m1", usage_metadata=counted(10, 0, input_token_details={"cache_read": 4})),
        says("b", id="m1", usage_metadata=counted(0, 5, output_token_details={"reasoning": 2})),
        says(id="m1", response_metadata={"model_provider": "anthropic", "model_name": "m"}),
    ]
    assert only(UsageReport, await said(open_langchain, chunks)) == [
        UsageReport(
            usage=Usage(
                input_tokens=10,
                output_tokens=5,
                total_tokens=15,
                reasoning_tokens=2,
                cached_input_tokens=4,
                provider="anthropic",
                model="m",
            )
        )
    ]


# --- content


async def test_thinking_of_anthropic_is_reasoning_with_its_signature():
    about = {"model_provider": "anthropic"}
    chunks = [
        says([{"type": "thinking", "thinking": "Hm", "index": 0}], id="m1", response_metadata=about),
        says([{"type": "thinking", "signature": "sig", "index": 0}], id="m1", response_metadata=about),
        says([{"type": "text", "text": "Yes", "index": 1}], id="m1", response_metadata=about),
    ]
    assert await said(open_langchain, chunks) == [
        ReasoningDelta(delta="Hm"),
        ReasoningEnd(signature="sig", provider="anthropic"),
        TextDelta(delta="Yes", id="m1"),
    ]


async def test_reasoning_beside_the_content_is_reasoning():
    chunk = says("Yes", id="m1", additional_kwargs={"reasoning_content": "Hm"})
    parts = [ReasoningDelta(delta="Hm"), TextDelta(delta="Yes", id="m1")]
    assert await said(open_langchain, [chunk]) == parts
    assert await said(open_langchain, [chunk.model_dump()]) == parts


async def test_a_new_part_of_a_summary_begins_with_a_blank_line():
    def part(words: str, index: str) -> AIMessageChunk:
        block: Any = {"type": "reasoning", "reasoning": words, "index": index}
        return says([block], id="m1", response_metadata={"output_version": "v1"})

    chunks = [part("One", "rs_1"), part(" more", "rs_1"), part("Two", "rs_2")]
    parts = await said(open_langchain, chunks)
    assert [delta.delta for delta in only(ReasoningDelta, parts)] == ["One", " more", "\n\nTwo"]


@pytest.mark.parametrize(
    "content",
    [
        ["No", {"type": "text", "text": "!"}],
        [{"type": "refusal", "refusal": "No"}, {"type": "text", "text": "!"}],
        [
            {"type": "non_standard", "value": {"type": "refusal", "refusal": "No"}},
            {"type": "text", "text": "!"},
        ],
    ],
)
async def test_texts_and_refusals_are_text(content: list[Any]):
    chunk = {"type": "AIMessageChunk", "content": content, "id": "m1"}
    assert text(await said(open_langchain, [chunk])) == "No!"


# --- whole messages


async def test_a_whole_message_is_text_and_calls():
    message = AIMessage(
        content="Let me look.",
        id="m1",
        tool_calls=[{"name": "f", "args": {"a": 1}, "id": "c1"}],
        usage_metadata={"input_tokens": 1, "output_tokens": 2, "total_tokens": 3},
    )
    parts = await said(open_langchain, [message, message])
    assert parts == [
        TextStart(id="m1"),
        TextDelta(delta="Let me look.", id="m1"),
        TextEnd(),
        ToolCall(id="c1", name="f", input={"a": 1}),
        UsageReport(usage=Usage(input_tokens=1, output_tokens=2, total_tokens=3)),
    ]


async def test_a_whole_message_that_streamed_before_says_nothing():
    chunks = [
        (says([], id="resp_1"), {}),
        (says("a", id="run_1"), {}),
        (AIMessage(content="a", id="run_1"), {}),
        (AIMessage(content="a", id="resp_1"), {}),
    ]
    assert text(await said(open_langchain, chunks)) == "a"


async def test_results_are_passed_on():
    messages = [
        ToolMessage(content='{"a":1}', tool_call_id="c1", name="f"),
        ToolMessage(content="It broke", tool_call_id="c2", name="f", status="error"),
        ToolMessage(content=[{"type": "text", "text": "x"}], tool_call_id="c3"),
        HumanMessage(content="thanks"),
    ]
    assert await said(open_langchain, messages) == [
        ToolResult(id="c1", name="f", output='{"a":1}', verbatim=True),
        ToolFailure(id="c2", error="It broke"),
        ToolResult(id="c3", output=[{"type": "text", "text": "x"}], verbatim=True),
    ]


async def test_events_pass_and_unknown_chunks_say_nothing():
    own = ToolCallResult(message_id="m", tool_call_id="c1", content="42", role="tool")
    assert await said(open_langchain, [own, 5, (1, 2, 3, 4), {"type": "x", "content": ""}]) == [own]


async def test_no_stream_is_refused():
    with pytest.raises(TypeError, match="astream"):
        await parts_of(open_langchain, "text")
