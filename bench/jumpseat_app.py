"""Jumpseat with the scripted agent, or with a BuiltInAgent on the model that ``BENCH_MODEL`` names.

``JUMPSEAT_DB`` says where the threads are, as for any runtime; without it they are in memory.
"""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator
from typing import Any

from script import Script

from jumpseat import (
    BuiltInAgent,
    CopilotRuntime,
    InMemoryAgentRunner,
    TextMessageContent,
    TextMessageEnd,
    TextMessageStart,
)


async def scripted(input: Any, context: Any) -> AsyncIterator[Any]:  # noqa: A002
    script = Script.of(input.forwarded_props)
    message_id = f"{input.run_id}-answer"
    yield TextMessageStart(message_id=message_id, role="assistant")
    text, paced, began = script.text, script.rate > 0, time.perf_counter()
    for index in range(script.events):
        if paced:
            await script.due(began, index)
        yield TextMessageContent(message_id=message_id, delta=f"{index} " if script.numbered else text)
    await script.rest()
    yield TextMessageEnd(message_id=message_id)


model = os.environ.get("BENCH_MODEL")
runtime = CopilotRuntime(
    agents={"bench": BuiltInAgent(model=model) if model else scripted},
    runner=None if os.environ.get("JUMPSEAT_DB") else InMemoryAgentRunner(),
)
