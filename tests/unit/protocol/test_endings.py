"""Each cause of an ending gives one terminal that every client version reads."""

import pytest

from jumpseat.errors import EventTooLarge, IllegalEvent, InvalidEvent, RunTooLarge
from jumpseat.protocol import endings
from jumpseat.protocol.events import Interrupt, RunError, RunFinished, RunOutcome, TokenUsage


@pytest.mark.parametrize(
    ("ending", "status", "code", "note"),
    [
        (endings.returned(), "finished", None, None),
        (
            endings.cut(),
            "failed",
            "INCOMPLETE_STREAM",
            ("error", "missing_terminal_event", "Run ended without emitting a terminal event"),
        ),
        (endings.raised("boom"), "failed", "agent_error", ("error", "agent_error", "boom")),
        (endings.broke(InvalidEvent("x")), "failed", "INVALID_EVENT", ("error", "invalid_event", "x")),
        (endings.broke(IllegalEvent("x")), "failed", "ILLEGAL_EVENT", ("error", "invalid_event", "x")),
        (endings.broke(EventTooLarge("x")), "failed", "EVENT_TOO_LARGE", ("error", "limit_exceeded", "x")),
        (endings.broke(RunTooLarge("x")), "failed", "RUN_TOO_LARGE", ("error", "limit_exceeded", "x")),
        (endings.stopped(), "stopped", None, ("stopped", "stop_requested", "Run stopped by user")),
        (
            endings.disconnected(),
            "stopped",
            None,
            ("stopped", "client_disconnected", "Run stopped: the client disconnected"),
        ),
        (
            endings.superseded(),
            "stopped",
            None,
            ("stopped", "superseded", "Run superseded by a newer run"),
        ),
        (
            endings.time_limit(),
            "stopped",
            None,
            ("stopped", "time_limit", "Run stopped: time limit reached"),
        ),
        (
            endings.shutdown(),
            "failed",
            "SERVER_SHUTDOWN",
            ("error", "server_shutdown", "The server was shut down before the run finished"),
        ),
        (endings.lost(), "lost", "RUN_LOST", ("error", "owner_lost", "The server lost this run")),
    ],
)
def test_a_cause_has_its_status_terminal_and_answer_for_open_calls(ending, status, code, note):
    assert ending.status == status
    if code is None:
        assert ending.terminal == RunFinished()
    else:
        assert ending.terminal == RunError(message=note[2], code=code)
    assert (None if note is None else endings.ResultNote(*note)) == ending.result


@pytest.mark.parametrize(
    ("reason", "ending"),
    [
        ("stop_requested", endings.stopped()),
        ("client_disconnected", endings.disconnected()),
        ("superseded", endings.superseded()),
        ("time_limit", endings.time_limit()),
        ("shutdown", endings.shutdown()),
        ("something newer", endings.stopped()),
    ],
)
def test_a_stored_stop_reason_gives_its_ending_back(reason, ending):
    assert endings.ending_for_stop(reason) == ending
    if ending.result.reason == reason:
        assert endings.ending_for_stop(ending.result.reason) == ending


INTERRUPT = Interrupt(id="i", reason="approval")


@pytest.mark.parametrize(
    ("outcome", "sent"),
    [
        (None, None),
        (RunOutcome(type="success"), RunOutcome(type="success")),
        (RunOutcome(type="success", extra={"pendingToolCallIds": ["c"]}), RunOutcome(type="success")),
        (RunOutcome(type="interrupt", interrupts=[INTERRUPT]),) * 2,
        (RunOutcome(type="interrupt", interrupts=[]), None),
        (RunOutcome(type="interrupt"), None),
        (RunOutcome(type="cancelled"), None),
        (RunOutcome(type="someday"), None),
    ],
)
def test_an_outcome_leaves_only_in_a_form_that_all_clients_read(outcome, sent):
    event = RunFinished(outcome=outcome, result=[1], usage=[TokenUsage(input_tokens=1)], extra={"k": 1})
    terminal = endings.agent_terminal(event).terminal
    assert terminal == RunFinished(
        outcome=sent, result=[1], usage=[TokenUsage(input_tokens=1)], extra={"k": 1}
    )


def test_an_agents_error_keeps_its_code_and_answers_open_calls():
    ending = endings.agent_terminal(RunError(message="quota", code="QUOTA"))
    assert ending.terminal == RunError(message="quota", code="QUOTA")
    assert ending.result == endings.ResultNote("error", "agent_error", "quota")


def test_an_agents_error_without_code_gets_one_and_the_event_stays_as_it_was():
    event = RunError(message="quota")
    assert endings.agent_terminal(event).terminal == RunError(message="quota", code="agent_error")
    assert event.code is None


def test_the_text_of_an_exception_is_cut_to_2000_characters():
    ending = endings.raised("x" * 5_000)
    assert ending.terminal.message == ending.result.message == "x" * 2_000


def test_a_note_with_half_a_surrogate_pair_is_still_json_text():
    assert "�" in endings.raised("\ud800").result.content()
