"""Texts that databases like to refuse: they come back as they were, from every back end."""

from __future__ import annotations

import json

import pytest

from jumpseat.protocol.events import (
    TextMessageContent,
    TextMessageStart,
    ToolCallArgs,
    ToolCallEnd,
    ToolCallStart,
)
from jumpseat.testing import ScriptedAgent
from jumpseat.testing.requests import collect, connect_to, run_of, user

ODD = "a\x00b\x1bc\u2028\U0001f980\\u0000 '\"%s;--"


@pytest.mark.parametrize("thread_id", ["plain", "ü/😀'\"%s;--\x1b0"])
async def test_nul_in_messages_states_texts_and_tool_arguments_comes_back(runner, thread_id):
    arguments = json.dumps({"text": ODD})
    agent = ScriptedAgent(
        TextMessageStart(message_id="m"),
        TextMessageContent(message_id="m", delta=ODD),
        ToolCallStart(tool_call_id="c", tool_call_name="look", parent_message_id="m"),
        ToolCallArgs(tool_call_id="c", delta=arguments),
        ToolCallEnd(tool_call_id="c"),
    )
    live = await collect(await runner.run(run_of(agent, thread_id, messages=[user("u", ODD)], state=[ODD])))
    assert ODD in [event.get("delta") for event in live]
    after = await collect(await runner.connect(connect_to(thread_id)))
    (snapshot,) = [event for event in after if event["type"] == "MESSAGES_SNAPSHOT"]
    asked, answered = snapshot["messages"]
    assert (asked["content"], answered["content"]) == (ODD, ODD)
    assert answered["toolCalls"][0]["function"]["arguments"] == arguments
    (state,) = [event["snapshot"] for event in after if event["type"] == "STATE_SNAPSHOT"]
    assert state == [ODD]
    assert [record.id for record in await runner.store.threads.list(None)] == [thread_id]
