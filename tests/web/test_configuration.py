"""Options that cannot work are refused when the runtime is made, by name."""

from typing import Any

import pytest

from jumpseat import ConfigurationError, CopilotRuntime, DebugConfig, ForwardHeaders, InMemoryAgentRunner
from serving import hello


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("agents", 5), ("agents", "x"), ("agents", {"a": 5}), ("agents", {5: hello}), ("agents", {"": hello}),
        ("agents", lambda a, b: {}), ("runner", "x"), ("runner", InMemoryAgentRunner), ("identify_user", 5),
        ("transcription_service", 5), ("transcription_service", lambda: None),
        ("forward_headers", {"deny": ["x"]}),
        ("sse_keep_alive_interval_seconds", -1), ("sse_keep_alive_interval_seconds", 86401),
        ("sse_keep_alive_interval_seconds", "15"), ("sse_keep_alive_interval_seconds", float("nan")),
        ("sse_keep_alive_interval_seconds", True), ("debug", "yes"), ("debug", None), ("dev", 1),
        ("dev", None),
        ("allow_clear_threads", "no"), ("expose_errors", 1), ("max_live_runs", 0), ("max_live_runs", 1.5),
        ("shutdown_grace_seconds", -1), ("shutdown_grace_seconds", None), ("thread_names", "words"),
        ("thread_names", 5), ("thread_names", lambda a, b: "x"), ("thread_names", str),
        ("before_request_middleware", "ftp://x"),
        ("after_request_middleware", 7),
    ],
)  # fmt: skip
def test_a_wrong_option_is_named(option: str, value: Any):
    with pytest.raises(ConfigurationError, match=option.split("_", maxsplit=1)[0]) as caught:
        CopilotRuntime(**({"agents": {"default": hello}} | {option: value}))
    assert isinstance(caught.value, ValueError)
    assert option in str(caught.value)


async def takes_one(given: Any):
    yield given


class TakesOne:
    def run(self, given: Any):
        return takes_one(given)


@pytest.mark.parametrize(
    ("agents", "says"),
    [
        ({"a": takes_one}, "agents\\['a'\\] must take \\(input, context\\), not \\(given"),
        ({"a": TakesOne()}, "agents\\['a'\\]: its run must take \\(input, context\\)"),
        (hello, "agents is an agent: give it an id"),
    ],
)
def test_an_agent_that_cannot_be_called_is_refused_at_once(agents: Any, says: str):
    with pytest.raises(ConfigurationError, match=says):
        CopilotRuntime(agents=agents)


@pytest.mark.parametrize("option", ["a2ui", "mcp_apps", "open_generative_ui", "realtime", "intelligence"])
def test_what_is_not_there_yet_says_so(option: str):
    with pytest.raises(ConfigurationError, match=f"{option} is not available yet"):
        CopilotRuntime(agents={"default": hello}, **{option: {}})


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("mode", "both"), ("mode", None), ("base_path", "/a?b"), ("base_path", "/a#b"),
        ("base_path", "/a/../b"),
        ("base_path", "/%2e%2e/b"), ("base_path", 5), ("hooks", {"on_request": print}), ("cors", "yes"),
    ],
)  # fmt: skip
def test_a_wrong_option_of_an_application_is_named(option: str, value: Any):
    with pytest.raises(ConfigurationError, match=option):
        CopilotRuntime(agents={"default": hello}).app(**{option: value})


@pytest.mark.parametrize(
    ("given", "kept"), [("", ""), ("/", ""), ("api", "/api"), ("/api/", "/api"), ("//a//b//", "/a/b")]
)
def test_a_base_path_is_normalised(given: str, kept: str):
    assert CopilotRuntime(agents={"default": hello}).app(base_path=given).settings.base_path == kept


def test_every_option_can_be_read_back():
    runner, agents = InMemoryAgentRunner(), {"default": hello}
    options: dict[str, Any] = {
        "agents": agents, "runner": runner, "debug": DebugConfig(events=False), "dev": True,
        "expose_errors": False, "max_live_runs": 3, "shutdown_grace_seconds": 1, "thread_names": None,
        "sse_keep_alive_interval_seconds": 0, "forward_headers": ForwardHeaders(deny=["x-a"]),
    }  # fmt: skip
    runtime = CopilotRuntime(**options)
    assert {name: getattr(runtime, name) for name in options} == options
    assert isinstance(CopilotRuntime(agents=agents).runner, InMemoryAgentRunner)


def test_a_runner_can_be_set_once_where_none_was_given():
    runtime, runner = CopilotRuntime(agents={"default": hello}), InMemoryAgentRunner()
    assert not runtime.has_runner
    runtime.use_runner(runner)
    assert runtime.runner is runner
    with pytest.raises(ConfigurationError, match="runner"):
        runtime.use_runner(InMemoryAgentRunner())
