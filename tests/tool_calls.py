"""Calls of server tools without an agent: one call in one line, with what it sent."""

import json
from dataclasses import dataclass, field
from typing import Any

from jumpseat.agents.builtin.server_tools import Invocation, ToolAnswer
from jumpseat.agents.builtin.state import SharedState
from jumpseat.agents.builtin.tools import ToolDefinition
from jumpseat.context import RunContext, User
from jumpseat.protocol.codec import to_wire
from jumpseat.protocol.events import Event
from jumpseat.protocol.parse import parse_input

SECRET = "sk-top-secret"


@dataclass
class Calls:
    """Calls tools, and keeps what they send. ``state`` is shared by all calls."""

    state: Any = None
    sent: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        body = {"threadId": "t1", "runId": "r1", "tools": [], "context": [], "state": self.state}
        self.input = parse_input(body | {"messages": [{"id": "u1", "role": "user", "content": "hi"}]})
        self.shared = SharedState(self.input.state)
        self.context = RunContext(
            thread_id="t1",
            run_id="r1",
            run_key="r1",
            agent_id="helper",
            user=User(id="u-1", name="Ada"),
            headers={"authorization": "Bearer x"},
        )

    async def emit(self, event: Event) -> None:
        self.sent.append(to_wire(event))

    def invocation(self, tool: ToolDefinition, arguments: Any = "", **fields: Any) -> Invocation:
        text = arguments if isinstance(arguments, str) else json.dumps(arguments)
        values: dict[str, Any] = {
            "id": "call-1",
            "name": tool.name,
            "arguments": text,
            "step": 1,
            "input": self.input,
            "context": self.context,
            "state": self.shared,
            "emit": self.emit,
            "redact": lambda words: words.replace(SECRET, "[redacted]"),
        }
        return Invocation(**(values | fields))

    async def answer(self, tool: ToolDefinition, arguments: Any = "", **fields: Any) -> ToolAnswer:
        return await tool.call(self.invocation(tool, arguments, **fields))

    async def result(self, tool: ToolDefinition, arguments: Any = "", **fields: Any) -> Any:
        """The JSON value of a call's content."""
        return json.loads((await self.answer(tool, arguments, **fields)).content)

    @property
    def types(self) -> list[str]:
        return [event["type"] for event in self.sent]
