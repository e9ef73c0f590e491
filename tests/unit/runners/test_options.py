"""Wrong options are refused where they are given."""

from __future__ import annotations

import math

import pytest

from jumpseat.errors import ConfigurationError
from jumpseat.runners.in_memory import InMemoryAgentRunner
from jumpseat.runners.keys import Cursor, new_run_key
from jumpseat.runners.options import Limits, RunnerOptions
from jumpseat.runners.redis import RedisAgentRunner
from jumpseat.runners.sqlite import SqliteAgentRunner
from jumpseat.stores.base import Retention

NO_SECONDS = (0, -1, True, math.nan, math.inf, "90d")


@pytest.mark.parametrize(
    "options",
    [
        {"on_concurrent_run": "wait"},
        {"max_queued_runs": 0},
        {"max_queued_runs": True},
        {"on_disconnect": "stop"},
        {"on_disconnect": -1},
        {"on_disconnect": math.nan},
        {"lease_ttl": 0},
        {"lease_ttl": "20"},
        {"heartbeat": 7.0},
        {"stop_grace": math.inf},
        {"retention": 5},
        {"limits": {"max_run_events": 5}},
    ],
)
def test_a_wrong_option_is_named(options):
    (name,) = options
    with pytest.raises(ConfigurationError, match=name):
        RunnerOptions(**options)
    with pytest.raises(ConfigurationError, match=name):
        InMemoryAgentRunner(**options)


@pytest.mark.parametrize(
    "limits",
    [
        {"max_event_bytes": 8 * 1024 * 1024 + 1},
        {"max_run_events": 0},
        {"max_run_bytes": 1.5},
        {"max_run_seconds": -1},
    ],
)
def test_a_wrong_limit_is_named(limits):
    (name,) = limits
    with pytest.raises(ConfigurationError, match=name):
        Limits(**limits)


@pytest.mark.parametrize(
    ("retention", "takes"),
    [
        *(({"max_age": age}, "None or a positive number of seconds") for age in NO_SECONDS),
        *(({"max_runs": runs}, "None or a positive integer") for runs in (0, -5, True, 2.0, math.nan, "9")),
        *(({"events_after": after}, "a number of seconds, at least 0") for after in (*NO_SECONDS[1:], None)),
    ],
    ids=str,
)
@pytest.mark.parametrize("make", [InMemoryAgentRunner, SqliteAgentRunner, RedisAgentRunner])
def test_a_wrong_retention_is_named_with_what_it_takes(make, retention, takes, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ((name, value),) = retention.items()
    with pytest.raises(ConfigurationError) as caught:
        make(retention=Retention(**retention))
    assert str(caught.value) == f"retention.{name} must be {takes}, not {value!r}"


@pytest.mark.parametrize(
    "retention",
    [{}, {"max_age": 0.5}, {"max_age": 90 * 86_400}, {"max_runs": 1}, {"events_after": 0}],
)
def test_a_retention_that_says_what_may_go_is_taken(retention):
    assert RunnerOptions(retention=Retention(**retention)).retention == Retention(**retention)


@pytest.mark.parametrize("bound", [0, -1, math.nan, "x"])
def test_a_wrong_memory_bound_is_refused(bound):
    for name in ("max_threads", "max_runs_per_thread", "max_bytes"):
        with pytest.raises(ConfigurationError, match=name):
            InMemoryAgentRunner(**{name: bound})


def test_run_keys_are_unique_and_sort_by_time():
    keys = [new_run_key() for _ in range(1000)]
    assert len(set(keys)) == 1000
    assert all(len(key) == 26 for key in keys)
    assert [key[:8] for key in keys] == sorted(key[:8] for key in keys)


@pytest.mark.parametrize(
    "text", ["", None, "x:1", "0" * 26, "0" * 26 + ":01", "0" * 26 + ":-1", "é" * 26 + ":1"]
)
def test_what_is_no_cursor_is_none(text):
    assert Cursor.parse(text) is None


def test_a_cursor_comes_back_as_it_was_written():
    cursor = Cursor(new_run_key(), 17)
    assert Cursor.parse(str(cursor)) == cursor
