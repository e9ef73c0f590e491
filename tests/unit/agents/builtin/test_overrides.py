"""What a client may change of a run: every name, listed and not, with right and with wrong values."""

from collections.abc import Mapping
from typing import Any

import pytest

from builtin_agents import given
from jumpseat.agents.builtin.language_model import ModelSettings
from jumpseat.agents.builtin.options import all_options, simple_options
from jumpseat.agents.builtin.overrides import OVERRIDABLE, Effective, overridden
from jumpseat.testing import ScriptedModel

CONFIGURED = Effective(settings=ModelSettings(), tool_choice="auto", provider_options={"a": {"own": 1}})
NUMBERS = ("temperature", "topP", "presencePenalty", "frequencyPenalty")
INTEGERS = ("maxOutputTokens", "topK", "seed", "maxRetries")
FUNCTION = {"type": "function", "function": {"name": "x"}}
RIGHT: dict[str, list[Any]] = {
    "model": ["openai/gpt-5", ""],
    "toolChoice": ["required", "none", {"type": "tool", "toolName": "x"}, FUNCTION],
    "stopSequences": [[], ["a", "b"]],
    "providerOptions": [{}, {"a": {"x": 1}}],
    "prompt": ["", "Mine."],
    **{name: [0, 1, 0.5, -1.5] for name in NUMBERS},
    **{name: [0, 3] for name in INTEGERS},
}
WRONG: dict[str, list[Any]] = {
    "model": [1, None, {}, ["openai/gpt-5"], True],
    "toolChoice": [
        "maybe",
        1,
        None,
        {},
        {"type": "tool"},
        {"type": "function", "function": {"name": 1}},
        ["auto"],
    ],
    "stopSequences": ["a", ["a", 1], [None], {}, None, 1],
    "providerOptions": ["x", 1, [], None, True],
    "prompt": [1, None, ["x"], {}],
    **{name: [True, False, "1", None, float("nan"), float("inf"), 10**400, [], {}] for name in NUMBERS},
    **{name: [True, False, "1", None, 1.0, float("nan"), [], {}] for name in INTEGERS},
}


def changed(listed: Any, **props: Any) -> Effective:
    """What a run goes by when these names are listed and a client sends these properties."""
    options = all_options({"overridable_properties": listed})
    allowed = simple_options(ScriptedModel([]), options).overridable
    return overridden(CONFIGURED, allowed, given(forwardedProps=props))


def test_every_name_is_tried():
    assert set(RIGHT) == set(WRONG) == set(OVERRIDABLE.values())


@pytest.mark.parametrize("name", RIGHT)
def test_a_right_value_counts_where_its_name_is_listed_in_either_spelling_and_nowhere_else(name: str):
    (option,) = [key for key, spelling in OVERRIDABLE.items() if spelling == name]
    others = [key for key in OVERRIDABLE if key != option]
    for value in RIGHT[name]:
        counted = changed([name], **{name: value})
        assert counted == changed([option], **{name: value}) == changed({option: None}, **{name: value})
        assert changed([*others], **{name: value}) == CONFIGURED
        assert changed([], **{name: value}) == CONFIGURED
        assert counted != CONFIGURED


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_value_is_ignored(name: str):
    for value in WRONG[name]:
        assert changed([name], **{name: value}) == CONFIGURED
        # It does not take others with it.
        other = "topP" if name == "temperature" else "temperature"
        both = changed([name, other], **{name: value, other: 0.25})
        assert both == changed([other], **{other: 0.25}) != CONFIGURED


@pytest.mark.parametrize("props", [None, "temperature", 5, [], ["temperature"], True])
def test_properties_that_are_no_object_are_ignored(props: Any):
    allowed = dict.fromkeys(OVERRIDABLE)
    assert overridden(CONFIGURED, allowed, given(forwardedProps=props)) is CONFIGURED


@pytest.mark.parametrize(
    "name", ["maxSteps", "apiKey", "timeout", "tools", "mcpServers", "forwardSystemMessages"]
)
def test_other_options_cannot_be_changed_whatever_is_sent(name: str):
    assert changed(list(OVERRIDABLE), **{name: "x"}) == CONFIGURED


def test_a_mapping_limits_the_values():
    limits: Mapping[str, Any] = {"model": ["openai/gpt-5", "openai/gpt-5-mini"], "temperature": [0, 1]}
    assert changed(limits, model="openai/gpt-5-mini").model == "openai/gpt-5-mini"
    assert changed(limits, model="openai/gpt-5-pro", temperature=0.5) == CONFIGURED
    assert changed(limits, temperature=True) == CONFIGURED


def test_provider_options_replace_the_configured_ones():
    assert changed(["providerOptions"], providerOptions={"b": {"x": 1}}).provider_options == {"b": {"x": 1}}
