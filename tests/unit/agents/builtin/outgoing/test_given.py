"""Every outgoing converter takes messages and tools in the forms in which developers have them."""

import logging
import re
import subprocess
import sys
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drawn_threads import SENDABLE_MESSAGES
from jumpseat.agents.builtin import outgoing
from jumpseat.agents.builtin.failures import AgentFailure
from jumpseat.agents.builtin.outgoing import (
    to_ai_sdk_messages,
    to_ai_sdk_tools,
    to_anthropic_messages,
    to_anthropic_tools,
    to_langchain_messages,
    to_langchain_tools,
    to_openai_messages,
    to_openai_tools,
    to_pydantic_ai_messages,
    to_pydantic_ai_tools,
    to_tanstack_messages,
    to_tanstack_tools,
)
from jumpseat.errors import InvalidInput, MissingDependencyError
from jumpseat.protocol.codec import encode_json
from jumpseat.protocol.inputs import Tool, UserMessage
from sample_thread import PIXEL, thread, thread_as_dicts, tools

TO_MESSAGES = [
    to_ai_sdk_messages,
    to_anthropic_messages,
    to_langchain_messages,
    to_openai_messages,
    to_tanstack_messages,
]
TO_TOOLS = [
    to_ai_sdk_tools,
    to_anthropic_tools,
    to_langchain_tools,
    to_openai_tools,
    to_pydantic_ai_tools,
    to_tanstack_tools,
]


@pytest.mark.parametrize("convert", TO_MESSAGES)
def test_dicts_are_as_good_as_structs_and_unknown_roles_are_left_out(convert):
    assert convert(thread_as_dicts()) == convert(thread())
    mixed = [*thread()[:3], *thread_as_dicts()[3:]]
    assert convert(iter(mixed)) == convert(thread())


def test_dicts_are_as_good_as_structs_for_pydantic_ai():
    def parts(messages) -> list[Any]:
        history = to_pydantic_ai_messages(messages)
        return [getattr(part, "content", part) for message in history for part in message.parts]

    assert parts(thread_as_dicts()) == parts(thread())


@pytest.mark.parametrize("convert", [*TO_MESSAGES, to_pydantic_ai_messages])
def test_no_messages_are_no_messages(convert):
    assert convert([]) in ([], ("", []))


def test_names_of_attributes_are_as_good_as_those_of_the_wire():
    messages = [
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {"id": "1", "type": "function", "function": {"name": "f", "arguments": '{"a_b":1}'}}
            ],
        },
        {"id": "t", "role": "tool", "tool_call_id": "1", "content": "x", "error": None},
        {
            "id": "u",
            "role": "user",
            "content": [
                {"type": "image", "source": {"type": "data", "value": PIXEL, "mime_type": "image/png"}}
            ],
        },
    ]
    answer, result, user = to_openai_messages(messages, api="chat")
    assert answer["tool_calls"][0]["function"]["arguments"] == '{"a_b":1}'
    assert result == {"role": "tool", "tool_call_id": "1", "content": "x"}
    assert user["content"][0]["type"] == "image_url"


def test_objects_that_can_be_dumped_are_as_good_as_dicts():
    class Dumped:
        def model_dump(self, *, mode: str, by_alias: bool) -> dict[str, Any]:
            assert (mode, by_alias) == ("json", True)
            return {"id": "u", "role": "user", "content": "hi", "name": None}

    assert to_openai_messages([Dumped()]) == [{"role": "user", "content": "hi"}]


def test_a_missing_content_is_empty_and_an_unknown_part_is_left_out_with_a_warning(caplog):
    hologram = {"role": "user", "content": [{"type": "hologram"}, "text", {"type": "text", "text": "a"}]}
    with caplog.at_level(logging.WARNING):
        converted = to_openai_messages([{"role": "user"}, hologram])
    assert converted == [
        {"role": "user", "content": ""},
        {"role": "user", "content": [{"type": "input_text", "text": "a"}]},
    ]
    assert len(caplog.records) == 2


def test_a_legacy_part_without_a_type_is_octets():
    (message,) = to_ai_sdk_messages([{"role": "user", "content": [{"type": "binary", "data": "aGk="}]}])
    assert message["content"] == [{"type": "file", "data": "aGk=", "mediaType": "application/octet-stream"}]


def test_a_malformed_message_is_named_by_its_place():
    messages = [UserMessage(id="u", content="hi"), {"role": "alien"}, {"role": "user", "content": 7}]
    with pytest.raises(InvalidInput, match=r"^messages\[2\]\.content: "):
        to_openai_messages(messages)


def test_what_is_no_message_is_a_type_error():
    with pytest.raises(TypeError, match="a message is a struct or a dict with a role, not str"):
        to_openai_messages(["hi"])


@dataclass
class Definition:
    """What `define_tool` makes has more, but these are what a model is told."""

    name: str = "search"
    description: str = "Searches"
    parameters: dict[str, Any] = field(default_factory=lambda: {"type": "object", "properties": {"q": {}}})


SEARCH = {"name": "search", "description": "Searches", "input_schema": Definition().parameters}


@pytest.mark.parametrize(
    "tool",
    [
        Definition(),
        Tool(name="search", description="Searches", parameters=Definition().parameters),
        {"name": "search", "description": "Searches", "parameters": Definition().parameters},
    ],
)
def test_tools_are_structs_or_objects_or_dicts(tool):
    assert to_anthropic_tools([tool]) == [SEARCH]


def test_of_two_tools_with_one_name_the_later_counts():
    client = Tool(name="search", description="client", parameters=None)
    assert to_anthropic_tools([client, *tools(), Definition()])[0] == SEARCH
    assert len(to_anthropic_tools([client, *tools(), Definition()])) == 3


@pytest.mark.parametrize("parameters", [None, {}])
def test_a_tool_without_parameters_takes_an_empty_object(parameters):
    tool = {"name": "f", "description": None, "parameters": parameters}
    assert to_anthropic_tools([tool]) == [
        {"name": "f", "description": "", "input_schema": {"type": "object", "properties": {}}}
    ]


def test_a_schema_without_a_type_gets_one_and_nothing_else_changes():
    parameters = {
        "anyOf": [{"required": ["a"]}],
        "properties": {"a": {"pattern": "^x", "type": ["object", "null"]}},
    }
    tool = Tool(name="f", description="", parameters=parameters)
    assert to_anthropic_tools([tool])[0]["input_schema"] == {"type": "object", **parameters}


@pytest.mark.parametrize("convert", TO_TOOLS)
@pytest.mark.parametrize("parameters", ["x", 7, [], {"type": "string"}])
def test_a_schema_of_no_object_is_refused_by_name(convert, parameters):
    with pytest.raises(AgentFailure, match=r"^Invalid JSON schema for tool f$") as caught:
        convert([Tool(name="f", description="", parameters=parameters)])
    assert caught.value.code == "invalid_request"


def test_what_is_no_tool_is_a_type_error():
    with pytest.raises(TypeError, match="str has no name"):
        to_openai_tools(["search"])


def test_the_known_names_are_the_same_functions():
    assert outgoing.convert_messages_to_vercel_ai_sdk_messages is to_ai_sdk_messages
    assert outgoing.convert_tools_to_vercel_ai_tools is to_ai_sdk_tools
    assert outgoing.convert_tool_definitions_to_vercel_ai_tools is to_ai_sdk_tools
    assert all(hasattr(outgoing, name) for name in outgoing.__all__)


@given(st.lists(SENDABLE_MESSAGES, max_size=10), st.sampled_from([None, "p"]), st.booleans())
def test_whatever_a_thread_holds_every_library_gets_a_conversation_that_can_be_sent(
    messages, provider, forward
):
    kept = {"forward_system_messages": forward, "forward_developer_messages": forward}
    for convert in (to_ai_sdk_messages, to_tanstack_messages, to_langchain_messages, to_pydantic_ai_messages):
        convert(messages, provider=provider, **kept)
    for api in ("responses", "chat"):
        encode_json(to_openai_messages(messages, api=api, **kept))
    system, blocks = to_anthropic_messages(messages, system="x", **kept)
    encode_json(blocks)
    assert system.startswith("x")
    roles = [message["role"] for message in blocks]
    assert all(one != other for one, other in pairwise(roles))
    assert all(message["content"] for message in blocks)


def test_converters_that_return_dicts_import_no_library():
    script = """
import sys
from jumpseat.agents.builtin.outgoing import *
message = {"role": "user", "content": "hi"}
for convert in (to_ai_sdk_messages, to_anthropic_messages, to_openai_messages, to_tanstack_messages):
    convert([message])
print(*sorted({name.split(".")[0] for name in sys.modules}))
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True
    )
    libraries = {"ai", "anthropic", "google", "langchain_core", "openai", "pydantic", "pydantic_ai"}
    assert set(done.stdout.split()) & libraries == set()


@pytest.mark.parametrize(
    ("package", "convert", "line"),
    [
        ("langchain_core.messages", to_langchain_messages, 'pip install "jumpseat[langchain]"'),
        ("pydantic_ai", to_pydantic_ai_messages, 'pip install "jumpseat[openai]"'),
        ("pydantic_ai", to_pydantic_ai_tools, 'pip install "jumpseat[openai]"'),
    ],
)
def test_a_missing_library_is_named_with_the_line_that_installs_it(package, convert, line, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingDependencyError, match=re.escape(line)):
        convert([])
