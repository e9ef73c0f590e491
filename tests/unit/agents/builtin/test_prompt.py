"""The system prompt holds the developer's words, the context and the state, letter by letter."""

import pytest

from jumpseat.agents.builtin.prompt import system_prompt
from jumpseat.protocol.inputs import Context, RunAgentInput

CONTEXT = [Context(description="User", value="Zoë"), Context(description="Page", value="{}")]
CONTEXT_TEXT = "\n## Context from the application\nUser:\nZoë\nPage:\n{}\n"
STATE = {"name": "Zoë", "todos": [1, {"done": False}], "empty": {}, "none": []}
STATE_JSON = """```json
{
  "name": "Zoë",
  "todos": [
    1,
    {
      "done": false
    }
  ],
  "empty": {},
  "none": []
}
```
"""
PLAIN_STATE = f"\n## Application State\nThis is the current state of the application.\n{STATE_JSON}"
EDITABLE_STATE = (
    "\n## Application State\nThis is the current state of the application; edit it by calling "
    f"AGUISendStateSnapshot or AGUISendStateDelta.\n{STATE_JSON}"
)


def run_input(*, context: list[Context] | None = None, state=None) -> RunAgentInput:
    return RunAgentInput(thread_id="t", run_id="r", messages=[], context=context or [], state=state)


@pytest.mark.parametrize("prompt", [None, ""])
def test_without_prompt_context_and_state_there_is_none(prompt):
    assert system_prompt(prompt, run_input(), state_tools=True) is None


@pytest.mark.parametrize("state", [None, {}, []])
def test_empty_state_is_left_out(state):
    assert system_prompt("Be kind.", run_input(state=state), state_tools=True) == "Be kind."


def test_the_context_alone():
    assert system_prompt(None, run_input(context=CONTEXT), state_tools=True) == CONTEXT_TEXT


def test_the_state_alone_names_the_state_tools_only_when_they_are_there():
    assert system_prompt(None, run_input(state=STATE), state_tools=True) == EDITABLE_STATE
    assert system_prompt(None, run_input(state=STATE), state_tools=False) == PLAIN_STATE


def test_all_three_follow_each_other_with_nothing_between():
    whole = system_prompt("Be kind.", run_input(context=CONTEXT, state=STATE), state_tools=True)
    assert whole == "Be kind." + CONTEXT_TEXT + EDITABLE_STATE


@pytest.mark.parametrize(
    ("state", "text"), [(0, "0"), (False, "false"), ("", '""'), ("ü", '"ü"'), (1.0, "1.0")]
)
def test_falsy_and_plain_values_are_state(state, text):
    prompt = system_prompt("x", run_input(state=state), state_tools=False)
    assert (
        prompt
        == f"x\n## Application State\nThis is the current state of the application.\n```json\n{text}\n```\n"
    )


def test_state_that_json_cannot_hold_exactly_does_not_fail_a_run():
    prompt = system_prompt(None, run_input(state={"a": float("nan"), "b": "\ud800"}), state_tools=False)
    assert prompt is not None
    assert '{\n  "a": null,\n  "b": "\ufffd"\n}' in prompt
