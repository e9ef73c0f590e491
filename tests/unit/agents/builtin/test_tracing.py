"""OpenTelemetry spans of a run: their tree, their attributes, and that they never harm it."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from builtin_agents import given, run, run_context, types
from jumpseat import BuiltInAgent, define_tool
from jumpseat.testing import ScriptedModel


class Raising(SpanProcessor):
    """Fails wherever it is called, while it is armed."""

    armed = False

    def on_start(self, span, parent_context=None):
        if self.armed:
            raise RuntimeError("start")

    def on_end(self, span):
        if self.armed:
            raise RuntimeError("end")


@pytest.fixture(scope="module")
def telemetry():
    exporter, raising, reader = InMemorySpanExporter(), Raising(), InMemoryMetricReader()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    provider.add_span_processor(raising)
    trace.set_tracer_provider(provider)
    metrics.set_meter_provider(MeterProvider([reader]))
    return exporter, raising, reader


@pytest.fixture
def spans(telemetry):
    exporter, raising, _ = telemetry
    exporter.clear()
    yield exporter.get_finished_spans
    raising.armed = False


@define_tool
def weather(city: str) -> str:
    """Tell the weather."""
    return f"sunny in {city}"


def agent_of(*, fails=False):
    usage = {"inputTokens": 10, "outputTokens": 5, "cachedInputTokens": 3}
    call = {"type": "tool-call", "id": "c1", "name": "weather", "input": {"city": "Rome"}}
    finish = {"type": "finish", "reason": "tool_call", "usage": usage, "responseId": "resp_1"}
    second = [RuntimeError("boom")] if fails else ["Sunny."]
    model = ScriptedModel([[call, finish], second])
    return BuiltInAgent(model=model, name="forecaster", tools=[weather], max_steps=3, prompt="Secret prompt.")


async def test_a_run_is_a_tree_of_spans_with_tokens_and_no_contents(spans):
    await run(agent_of())
    by_name = {span.name: span for span in spans()}
    assert by_name.keys() == {"invoke_agent forecaster", "chat script", "execute_tool weather"}
    root = by_name["invoke_agent forecaster"]
    children = [span for span in spans() if span is not root]
    assert {span.parent.span_id for span in children} == {root.context.span_id}
    chat = next(span for span in spans() if span.attributes.get("gen_ai.response.id"))
    assert dict(chat.attributes) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "scripted",
        "gen_ai.request.model": "script",
        "gen_ai.agent.name": "forecaster",
        "gen_ai.conversation.id": "t1",
        "gen_ai.response.id": "resp_1",
        "gen_ai.response.finish_reasons": ("tool_call",),
        "gen_ai.usage.input_tokens": 10,
        "gen_ai.usage.output_tokens": 5,
        "gen_ai.usage.cache_read.input_tokens": 3,
    }
    everything = str([dict(span.attributes) for span in spans()])
    assert "Rome" not in everything
    assert "Secret" not in everything


async def test_contents_are_recorded_where_they_are_asked_for(spans, monkeypatch):
    monkeypatch.setenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "true")
    await run(agent_of())
    everything = str([dict(span.attributes) for span in spans()])
    assert "Rome" in everything
    assert "Secret prompt." in everything


async def test_a_failure_is_an_error_of_its_code(spans):
    events = await run(agent_of(fails=True))
    assert types(events)[-1] == "RUN_ERROR"
    failed = [span for span in spans() if not span.status.is_ok]
    assert {(span.name, span.attributes["error.type"]) for span in failed} == {
        ("chat script", "provider_error"),
        ("invoke_agent forecaster", "provider_error"),
    }


async def test_a_failure_of_the_developers_code_has_its_code(spans):
    async def prompt(given, context):
        raise LookupError("no tenant")

    await run(BuiltInAgent(model=ScriptedModel([]), prompt=prompt))
    (root,) = spans()
    assert root.attributes["error.type"] == "agent_error"


async def test_a_run_of_a_factory_is_a_span_around_what_the_factory_does(spans):
    async def factory(context):
        with trace.get_tracer("mine").start_as_current_span("own call"):
            yield {"type": "CUSTOM", "name": "n", "value": 1}

    await run(BuiltInAgent(factory=factory, name="made"))
    own, root = spans()
    assert (own.name, root.name) == ("own call", "invoke_agent made")
    assert own.parent.span_id == root.context.span_id
    assert root.attributes["gen_ai.conversation.id"] == "t1"


async def test_what_cannot_be_recorded_is_no_reason_to_fail(spans, monkeypatch):
    monkeypatch.setenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "true")
    call = {"type": "tool-call", "id": "c1", "name": "weather", "input": {"city": "Rome"}}
    finish = {"type": "finish", "reason": "tool_call", "native": object()}
    model = ScriptedModel([[call, finish], ["Sunny."]])
    picture = {"type": "image", "source": {"type": "data", "value": "aGk=", "mimeType": "image/png"}}
    question = {"id": "u1", "role": "user", "content": [{"type": "text", "text": "Where?"}, picture]}
    events = await run(BuiltInAgent(model=model, tools=[weather], max_steps=2), given(question))
    assert types(events)[-1] == "RUN_FINISHED"
    recorded = [span.attributes.get("gen_ai.input.messages") for span in spans()]
    assert [json.loads(text) for text in recorded if text and "sunny in Rome" in text] == [
        [
            {
                "role": "user",
                "parts": [
                    {"type": "text", "content": "Where?"},
                    {"type": "blob", "mime_type": "image/png"},
                ],
            },
            {
                "role": "assistant",
                "parts": [
                    {"type": "tool_call", "id": "c1", "name": "weather", "arguments": {"city": "Rome"}}
                ],
            },
            {
                "role": "tool",
                "parts": [{"type": "tool_call_response", "id": "c1", "response": '"sunny in Rome"'}],
            },
        ]
    ]


async def test_secrets_are_taken_out_of_recorded_contents(spans, monkeypatch):
    monkeypatch.setenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "true")

    @define_tool
    def leak() -> str:
        return "sk-abcdef123456"

    call = {"type": "tool-call", "id": "c1", "name": "leak", "input": {"token": "sk-abcdef123456"}}
    model = ScriptedModel([[call], ["ok"]])
    await run(BuiltInAgent(model=model, tools=[leak], max_steps=2, prompt="Use sk-abcdef123456."))
    everything = str([dict(span.attributes) for span in spans()])
    assert "[redacted]" in everything
    assert "sk-abcdef" not in everything


async def test_metrics_count_tokens_and_time(telemetry, spans):
    await run(agent_of())
    data = telemetry[2].get_metrics_data()
    found = {
        metric.name
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }
    assert {"gen_ai.client.token.usage", "gen_ai.client.operation.duration"} <= found


async def test_fifty_runs_at_once_keep_their_spans_apart(spans):
    async def one(number):
        await run(agent_of(), context=run_context(thread_id=f"t{number}", run_id=f"r{number}"))

    async with asyncio.TaskGroup() as group:
        for number in range(50):
            group.create_task(one(number))
    roots = [span for span in spans() if span.parent is None]
    assert len(roots) == 50
    threads = {span.context.trace_id: span.attributes["gen_ai.conversation.id"] for span in roots}
    assert len(spans()) == 200
    assert all(
        threads[span.context.trace_id] == span.attributes["gen_ai.conversation.id"] for span in spans()
    )


async def test_a_failing_exporter_changes_nothing(telemetry, spans):
    telemetry[1].armed = True
    events = await run(agent_of())
    assert types(events)[-1] == "RUN_FINISHED"
    assert "TOOL_CALL_RESULT" in types(events)


def test_a_broken_opentelemetry_is_no_reason_to_have_no_agent():
    script = (
        "import os\n"
        "os.environ['OTEL_PYTHON_TRACER_PROVIDER'] = 'of_nobody'\n"
        "os.environ['OTEL_PYTHON_METER_PROVIDER'] = 'of_nobody'\n"
        "import asyncio\n"
        "from builtin_agents import run, types\n"
        "from jumpseat import BuiltInAgent\n"
        "from jumpseat.testing import ScriptedModel\n"
        "agent = BuiltInAgent(model=ScriptedModel([['hi']]))\n"
        "print(types(asyncio.run(run(agent)))[-1])\n"
    )
    tests = str(Path(__file__).parents[3])
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env={**os.environ, "PYTHONPATH": tests},
    )
    assert done.stdout.strip() == "RUN_FINISHED"


def test_without_opentelemetry_nothing_of_it_is_imported():
    script = (
        "import sys\n"
        "sys.modules['opentelemetry'] = None\n"
        "from jumpseat import BuiltInAgent\n"
        "from jumpseat.testing import ScriptedModel\n"
        "BuiltInAgent(model=ScriptedModel([]))\n"
        "print([name for name in sys.modules if name.startswith('opentelemetry.')])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "[]"
