"""One run in simple mode: generations and the tools between them, until the model has answered."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any, Final, cast

from jumpseat.agents.builtin.client_tools import client_model_tool
from jumpseat.agents.builtin.conversation import to_model_messages, with_resume_results
from jumpseat.agents.builtin.converters.failures import reported_failure
from jumpseat.agents.builtin.failures import AgentFailure, developer_failure, provider_failure
from jumpseat.agents.builtin.language_model import (
    LanguageModel,
    ModelMessage,
    ModelRequest,
    ModelTool,
    ToolChoice,
    ToolReturn,
)
from jumpseat.agents.builtin.library_streams import closing
from jumpseat.agents.builtin.mcp_tools import MCPForRun
from jumpseat.agents.builtin.options import SimpleOptions
from jumpseat.agents.builtin.overrides import Effective, overridden
from jumpseat.agents.builtin.parts import (
    Abort,
    Finish,
    ModelError,
    StepBreak,
    StreamPart,
    TextDelta,
    ToolFailure,
    ToolResult,
    UsageReport,
    as_part,
)
from jumpseat.agents.builtin.prompt import system_prompt
from jumpseat.agents.builtin.recorded import recorded_messages
from jumpseat.agents.builtin.redaction import Redactor, redacted_trace
from jumpseat.agents.builtin.server_tools import Invocation, ServerTool, ToolAnswer
from jumpseat.agents.builtin.settings import transport_secrets
from jumpseat.agents.builtin.state import SharedState
from jumpseat.agents.builtin.tools import ToolDefinition
from jumpseat.agents.builtin.tools.outcomes import shown_text
from jumpseat.agents.builtin.tools.results import error_content
from jumpseat.agents.builtin.tracing import trace_of
from jumpseat.agents.builtin.translator import OpenCall, Translator
from jumpseat.agents.builtin.turns import TurnRecord
from jumpseat.agents.builtin.usage import UsageTotals
from jumpseat.calling import being_cancelled, call_user
from jumpseat.context import RunContext
from jumpseat.protocol.events import (
    Custom,
    Event,
    Interrupt,
    RunFinished,
    RunOutcome,
    TokenUsage,
    ToolCallResult,
)
from jumpseat.protocol.inputs import Message, RunAgentInput, ToolMessage

__all__ = ["SimpleRun"]

logger = logging.getLogger("jumpseat")

FAILED_BEFORE: Final = "The model response failed before this tool ran"


@dataclass(slots=True)
class _Toolbox:
    """The tools of one run: which the model sees, and who runs them."""

    server: dict[str, ServerTool] = field(default_factory=dict[str, ServerTool])
    shown: dict[str, ModelTool] = field(default_factory=dict[str, ModelTool])

    def interrupt(self, name: str) -> ToolDefinition | None:
        tool = self.server.get(name)
        return tool if isinstance(tool, ToolDefinition) and tool.interrupt else None

    def add(self, tool: ServerTool) -> None:
        self.server[tool.name] = tool
        self.shown[tool.name] = ModelTool(
            name=tool.name, description=tool.description, parameters=tool.parameters
        )

    def choice(self, effective: Effective) -> ToolChoice:
        forced = effective.client_tool
        if forced is not None and forced not in self.server:
            return ("tool", forced)
        wanted = effective.tool_choice
        if isinstance(wanted, tuple) and wanted[1] not in self.shown:
            logger.warning("tool_choice names the tool %r, which this run does not have", wanted[1])
            return "auto"
        return wanted if self.shown else "auto"


class SimpleRun:
    """Runs the model and its tools for one input. All state of a run is in here.

    Args:
        options: The agent's configuration, shared by its runs.
        given: The run's input; never changed.
        context: The run.
        emit: Sends an event; waits while the stream is full.
        agent: The agent's name, for traces.
        expose_usage: Send token counts with the end.
    """

    def __init__(
        self,
        options: SimpleOptions,
        given: RunAgentInput,
        context: RunContext,
        emit: Callable[[Event], Awaitable[None]],
        *,
        agent: str = "",
        expose_usage: bool = True,
    ) -> None:
        self.redact = Redactor(())
        self._usage = UsageTotals()
        self._expose_usage = expose_usage
        self._trace = trace_of(context, agent)
        self._options = options
        self._given = given
        self._context = context
        self._emit = emit
        self._state = SharedState(given.state)
        self._provider = ""
        self._model = ""
        self._steps = 0
        self._answers: Sequence[Message] = ()
        self._waiting_tools: frozenset[str] = frozenset()
        self._finish_reason: str | None = None

    def tokens(self) -> list[TokenUsage] | None:
        """Return what the generations have used, as clients may know it."""
        return self._usage.listed() if self._expose_usage else None

    async def execute(self) -> RunFinished:
        """Emit the events of the run and return its end.

        Raises ``AgentFailure`` for every failure; all open events are closed by then, and every call
        of the failed generation has a result. Cancelling gives up the model, the tools and the connections.
        """
        try:
            with self._trace.run():
                interrupts = await self._run()
        finally:
            self._note()
        outcome = RunOutcome(type="interrupt", interrupts=interrupts) if interrupts else None
        return RunFinished(thread_id=self._given.thread_id, run_id=self._given.run_id, outcome=outcome)

    async def _run(self) -> list[Interrupt]:
        effective = self._effective()
        model = await self._language_model(effective)
        messages = await self._conversation(effective)
        async with AsyncExitStack() as stack:
            tools = await self._toolbox(effective, stack)
            interrupts = await self._loop(model, effective, tools, messages)
        await self._keep_answers()
        return interrupts

    async def _keep_answers(self) -> None:
        """Put a person's answers into the thread as results, where the client has not done it itself.

        Last of all: a run that fails leaves its questions open, and another answer to them may come.
        """
        for answer in self._answers:
            if isinstance(answer, ToolMessage):
                await self._emit(
                    ToolCallResult(
                        message_id=answer.id,
                        tool_call_id=answer.tool_call_id,
                        role="tool",
                        content=answer.content,
                    )
                )

    def _note(self) -> None:
        record = self._context.record
        listed = self._usage.listed()
        if listed is not None:
            record["usage"] = listed
        record["finish_reason"] = self._finish_reason
        record["steps"] = self._steps
        record["model"] = self._model

    # --- before the first generation

    def _effective(self) -> Effective:
        options = self._options
        configured = Effective(
            settings=options.settings,
            tool_choice=options.tool_choice,
            provider_options=options.provider_options,
        )
        return overridden(configured, options.overridable, self._given)

    async def _language_model(self, effective: Effective) -> LanguageModel:
        found = await self._options.models.find(effective.model, self._context)
        self._provider, self._model = found.provider, found.model
        self.redact = Redactor((*found.secrets, *transport_secrets(effective.provider_options)))
        return found.language_model

    async def _toolbox(self, effective: Effective, stack: AsyncExitStack) -> _Toolbox:
        box = _Toolbox()
        for tool in self._given.tools:
            box.shown[tool.name] = client_model_tool(tool)
        if effective.is_suggestion:
            return box
        own = self._options.tools
        for tool in await self._mcp_tools({tool.name for tool in own}, stack):
            box.add(tool)
        for tool in own:
            box.add(tool)
        return box

    async def _mcp_tools(self, taken: Collection[str], stack: AsyncExitStack) -> list[ServerTool]:
        if self._options.mcp is None:
            return []
        servers: MCPForRun = await stack.enter_async_context(
            self._options.mcp.for_run(self._context, taken=taken)
        )
        self.redact = Redactor((*self.redact.secrets, *servers.secrets))
        for missing in servers.unavailable:
            if self._options.on_mcp_failure == "fail":
                raise AgentFailure(
                    "mcp_error", f"The MCP server {missing.server} is unavailable: {missing.reason}"
                )
            if self._options.on_mcp_failure == "event":
                value = {"server": missing.server, "reason": missing.reason}
                await self._emit(Custom(name="mcp_server_unavailable", value=value))
        return servers.tools

    async def _conversation(self, effective: Effective) -> list[ModelMessage]:
        options, given = self._options, self._given
        prompt = effective.prompt if effective.prompt is not None else await self._prompt()
        has_state_tools = options.has_state_tools and not effective.is_suggestion
        known = with_resume_results(given.messages, given.resume, logger.warning)
        self._answers = known[len(given.messages) :]
        messages = to_model_messages(
            known,
            system=system_prompt(prompt, given, state_tools=has_state_tools),
            provider=self._provider,
            forward_system_messages=options.forward_system_messages,
            forward_developer_messages=options.forward_developer_messages,
            warn=logger.warning,
        )
        if not messages:
            raise AgentFailure("invalid_request", "messages must not be empty")
        return messages

    async def _prompt(self) -> str | None:
        prompt = self._options.prompt
        if prompt is None or isinstance(prompt, str):
            return prompt
        try:
            text = await call_user(prompt, self._given, self._context)
        except Exception as error:
            raise developer_failure(error) from error
        if text is not None and not isinstance(text, str):
            raise AgentFailure("agent_error", f"prompt returned {type(text).__name__}, not a string")
        return text

    # --- generations

    async def _loop(
        self, model: LanguageModel, effective: Effective, tools: _Toolbox, messages: list[ModelMessage]
    ) -> list[Interrupt]:
        translator = Translator(self._given, provider=self._provider, state=self._state)
        self._waiting_tools = frozenset(name for name in tools.server if tools.interrupt(name) is not None)
        limit = 1 if effective.is_suggestion else self._options.max_steps
        choice = tools.choice(effective)
        while True:
            self._steps += 1
            record = await self._generation(
                model, translator, self._request(effective, tools, messages, choice)
            )
            if self._finish_reason == "content_filter":
                await self._fail_calls(translator)
                return []
            interrupts = self._interrupts(tools, translator.calls)
            answers = await self._run_tools(tools, translator)
            calls = translator.calls
            all_answered = all(call.answered or call.provider_executed for call in calls)
            ran_some = any(call.id in answers for call in calls)
            if interrupts or not ran_some or not all_answered or self._steps >= limit:
                return interrupts
            messages = [*messages, record.turn(calls, self._provider), *_returns(calls, answers)]
            for event in translator.new_step():
                await self._emit(event)
            # A forced choice that held for every step could never lead to an answer.
            choice = "none" if choice == "none" else "auto"

    def _request(
        self, effective: Effective, tools: _Toolbox, messages: list[ModelMessage], choice: ToolChoice
    ) -> ModelRequest:
        forced = isinstance(choice, tuple) or choice == "required"
        return ModelRequest(
            messages=messages,
            tools=list(tools.shown.values()),
            tool_choice=choice,
            settings=effective.settings,
            provider_options=_bag(effective.provider_options, self._provider),
            step=self._steps,
            abort_signal=self._context.abort_signal,
            # Anthropic refuses a forced tool while it thinks.
            thinking=not (forced and self._provider == "anthropic"),
        )

    async def _generation(
        self, model: LanguageModel, translator: Translator, request: ModelRequest
    ) -> TurnRecord:
        record = TurnRecord()
        self._finish_reason = None
        try:
            with self._trace.generation(self._provider, self._model) as span:
                if self._trace.captures:
                    span.set({"gen_ai.input.messages": self.redact(recorded_messages(request.messages))})
                try:
                    await self._stream(model, translator, request, record)
                finally:
                    self._trace.finished(span, record.finish, record.usage)
                self._check(translator, record)
        except asyncio.CancelledError as error:
            if being_cancelled():
                raise
            await self._give_up(translator)
            raise AgentFailure("provider_error", "The model request was cancelled by its library") from error
        except Exception as error:
            await self._give_up(translator)
            raise provider_failure(error) from error
        for event in translator.close():
            await self._emit(event)
        return record

    async def _stream(
        self, model: LanguageModel, translator: Translator, request: ModelRequest, record: TurnRecord
    ) -> None:
        stream: Any = model.stream(request)
        if inspect.isawaitable(stream):
            # An async function that returns its iterator in place of being one.
            stream = await stream
        async with closing(cast("AsyncIterator[object]", stream)) as parts:
            async for given in parts:
                part = as_part(given)
                if part is None:
                    continue
                record.add(part)
                if type(part) is TextDelta:
                    # The short way for what most of a stream is.
                    for event in translator.feed(part):
                        await self._emit(event)
                    continue
                if isinstance(part, StepBreak):
                    record.restart()
                    await self._fail_calls(translator)
                if isinstance(part, ToolResult | ToolFailure) and self._waits(translator, part.id):
                    continue
                for event in translator.feed(part):
                    await self._emit(event)
                self._note_end(part)

    def _note_end(self, part: StreamPart) -> None:
        """Take in how the generation ends and what it used; raise when it failed."""
        if isinstance(part, Finish):
            self._finish_reason = part.reason
        if isinstance(part, Finish | UsageReport) and part.usage is not None:
            self._usage.add(part.usage, self._provider, self._model)
        elif isinstance(part, ModelError):
            raise reported_failure(part)
        elif isinstance(part, Abort):
            raise AgentFailure("provider_error", "The model gave its answer up.")

    def _waits(self, translator: Translator, upstream_id: str) -> bool:
        """Say whether a call waits for a person; nobody else can answer it."""
        return any(
            call.upstream_id == upstream_id and call.name in self._waiting_tools for call in translator.calls
        )

    def _check(self, translator: Translator, record: TurnRecord) -> None:
        """Raise for an end that is a failure."""
        reason = self._finish_reason
        if reason is None and not translator.said_something:
            raise AgentFailure("provider_error", "The model returned no output.")
        if reason == "content_filter" and not record.has_text:
            raise AgentFailure("content_filter", "The model's answer was blocked by a content filter.")
        if reason == "error":
            raise AgentFailure("provider_error", "The model ended with an error.")

    async def _give_up(self, translator: Translator) -> None:
        """Close what a failed generation left open; none of its calls is run."""
        for event in translator.close():
            await self._emit(event)
        await self._fail_calls(translator)

    async def _fail_calls(self, translator: Translator) -> None:
        for call in translator.calls:
            for event in translator.result(call.id, error_content(FAILED_BEFORE)):
                await self._emit(event)

    # --- tools

    def _interrupts(self, tools: _Toolbox, calls: list[OpenCall]) -> list[Interrupt]:
        found: list[Interrupt] = []
        for call in calls:
            if call.provider_executed or (tool := tools.interrupt(call.name)) is None:
                continue
            reason, message = tool.interrupt_reason, tool.interrupt_message
            found.append(
                Interrupt(
                    id=call.id, tool_call_id=call.id, reason=reason or "tool_call", message=message or None
                )
            )
        return found

    async def _run_tools(self, tools: _Toolbox, translator: Translator) -> dict[str, ToolAnswer]:
        """Run the calls that are this server's, and emit each result as soon as it is there."""
        answers: dict[str, ToolAnswer] = {}
        room = asyncio.Semaphore(self._options.max_concurrent_tools)

        async def run(call: OpenCall) -> None:
            async with room:
                answer = await self._answer(tools.server.get(call.name), call)
            answers[call.id] = answer
            for event in translator.result(call.id, answer.content):
                await self._emit(event)

        async with asyncio.TaskGroup() as group:
            for call in translator.calls:
                if call.answered or call.provider_executed or tools.interrupt(call.name) is not None:
                    continue
                if call.name in tools.server or call.name not in tools.shown:
                    group.create_task(run(call), name=f"tool {call.name}")
        return answers

    async def _answer(self, tool: ServerTool | None, call: OpenCall) -> ToolAnswer:
        if tool is None:
            return ToolAnswer(content=error_content(f'Unknown tool "{call.name}"'), error="unknown_tool")
        invocation = Invocation(
            id=call.id,
            name=call.name,
            arguments=call.arguments,
            step=self._steps,
            input=self._given,
            context=self._context,
            state=self._state,
            emit=self._emit,
            redact=self.redact,
        )
        try:
            with self._trace.tool(call.name, call.id) as span:
                answer = await tool.call(invocation)
                if answer.error is not None:
                    span.fail(answer.error)
                if self._trace.captures:
                    span.set(
                        {
                            "gen_ai.tool.call.arguments": self.redact(call.arguments),
                            "gen_ai.tool.call.result": self.redact(answer.content),
                        }
                    )
                return answer
        except asyncio.CancelledError as error:
            if being_cancelled():
                raise
            reason: BaseException = error
        except BaseException as error:
            reason = error
        if not self._context.abort_signal.aborted:
            trace = await redacted_trace(reason, self.redact)
            logger.error("the tool %r broke off\n%s", call.name, trace)
        return ToolAnswer(content=error_content(shown_text(invocation, reason)), error=type(reason).__name__)


def _bag(options: Mapping[str, Any], provider: str) -> Mapping[str, Any]:
    """Return the active provider's own options."""
    bag = options.get(provider)
    if bag is None and provider == "openai-chat":
        bag = options.get("openai")
    return cast("Mapping[str, Any]", bag) if isinstance(bag, Mapping) else {}


def _returns(calls: list[OpenCall], answers: dict[str, ToolAnswer]) -> list[ToolReturn]:
    return [
        ToolReturn(
            tool_call_id=call.id,
            name=call.name,
            content=answer.content if answer.for_model is None else answer.for_model,
        )
        for call in calls
        if (answer := answers.get(call.id)) is not None
    ]
