"""The scenarios: each measures one kind of server, from a fresh process, and returns named figures."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from statistics import median
from typing import Any

from load import Job
from servers import (
    BARE,
    HERE,
    KINDS,
    PYTHON_PATH,
    TYPESCRIPT,
    TYPESCRIPT_MEMORY,
    BenchError,
    Kind,
    Server,
    provider,
    serve,
)

Figures = dict[str, float]
MEBIBYTE = 1024 * 1024


@dataclass(frozen=True)
class Sizes:
    """How much of everything."""

    burst_runs: int = 10
    burst_events: int = 2000
    burst_rounds: int = 7
    long_events: int = 20000
    long_rounds: int = 3
    paced_runs: int = 500
    paced_rate: float = 50.0
    paced_seconds: float = 10.0
    paced_ramp: float = 1.0
    first_byte_runs: int = 300
    young_thread: int = 10
    old_thread: int = 1000
    thread_samples: int = 30
    open_streams: int = 2000
    open_seconds: float = 14.0
    open_ramp: float = 4.0
    model_runs: int = 10
    model_tokens: int = 1000
    model_rounds: int = 3
    import_rounds: int = 7
    delta: int = 16


QUICK = Sizes(
    burst_events=200,
    burst_rounds=2,
    long_events=2000,
    long_rounds=1,
    paced_runs=50,
    paced_seconds=2.0,
    paced_ramp=0.5,
    first_byte_runs=30,
    old_thread=60,
    thread_samples=10,
    open_streams=100,
    open_seconds=3.0,
    open_ramp=0.5,
    model_runs=2,
    model_tokens=100,
    model_rounds=1,
    import_rounds=3,
)


@dataclass(frozen=True)
class Bench:
    """What a scenario gets: the sizes, and where it says what went wrong."""

    sizes: Sizes
    complain: Callable[[str], None]

    def play(self, server: Server, job: Job, opened: Callable[[float], None] | None = None) -> dict[str, Any]:
        """Plays a job in a client process of its own; lost events and failed streams are complained about."""
        command = [sys.executable, str(HERE / "load.py")]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as client:
            try:
                result = self._follow(client, replace(job, port=server.port), opened)
            finally:
                client.kill()
        self._check(server, job, result)
        return result

    def _follow(
        self, client: subprocess.Popen[bytes], job: Job, opened: Callable[[float], None] | None
    ) -> dict[str, Any]:
        assert client.stdin is not None
        assert client.stdout is not None
        client.stdin.write(json.dumps(asdict(job)).encode())
        client.stdin.close()
        for line in client.stdout:
            message = json.loads(line)
            if "result" in message:
                return message["result"]
            if "error" in message:
                raise BenchError(f"the load client stopped in {job.tag}: {message['error']}")
            if opened is not None:
                opened(message["opened"])
        raise BenchError(f"the load client ended without a result in {job.tag}")

    def _check(self, server: Server, job: Job, result: dict[str, Any]) -> None:
        where = f"{server.kind.title}, {job.tag}"
        if result["failed"]:
            self.complain(f"{where}: {result['failed']} of {job.streams} streams failed: {result['errors']}")
        if result["expected"] and result["frames"] != result["expected"]:
            self.complain(f"{where}: {result['frames']} events instead of {result['expected']}")
        busy = result["client_cpu"] / result["wall"]
        if busy > 0.9:
            self.complain(f"{where}: the load client was busy {busy:.0%} of the time, so it may be the limit")


class Meter:
    """CPU seconds of a server since the meter was made, and of its database where it has one."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._began = server.cpu()
        self._database_began = server.database.cpu() if server.database else 0.0

    def server(self) -> float:
        """Those of the server's own process."""
        return self._server.cpu() - self._began

    def per(self, what: str, count: int) -> Figures:
        """Both, divided by ``count``, as figures."""
        count = max(count, 1)
        figures = {f"cpu_per_{what}": self.server() / count}
        if self._server.database:
            spent = self._server.database.cpu() - self._database_began
            figures[f"database_cpu_per_{what}"] = spent / count
        return figures


def quantile(values: list[float], share: float) -> float:
    """The value below which ``share`` of the values lie."""
    if not values:
        return float("nan")
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def warm_up(bench: Bench, server: Server, job: Job) -> None:
    """Plays a job whose answers are compared word for word; nothing of it is measured."""
    bench.play(server, replace(job, check=True, tag=f"warm-{job.tag}"))


def rounds_of(bench: Bench, kind: Kind, job: Job, rounds: int) -> Figures:
    """Events per second (median of the rounds), CPU per event, and memory of a job without pacing."""
    with serve(kind) as server:
        warm_up(bench, server, job)
        meter, frames, speeds = Meter(server), 0, []
        for number in range(rounds):
            result = bench.play(server, replace(job, tag=f"{job.tag}{number}"))
            frames += result["frames"]
            speeds.append(result["frames"] / result["wall"])
        return {
            "events_per_second": median(speeds),
            **meter.per("event", frames),
            "peak_rss": server.peak_rss() / MEBIBYTE,
        }


def burst(bench: Bench, kind: Kind) -> Figures:
    """Many short runs at once, as fast as they go."""
    sizes = bench.sizes
    job = Job(streams=sizes.burst_runs, events=sizes.burst_events, delta=sizes.delta, tag="burst")
    return rounds_of(bench, kind, job, sizes.burst_rounds)


def long_run(bench: Bench, kind: Kind) -> Figures:
    """One long run, as fast as it goes."""
    sizes = bench.sizes
    job = Job(events=sizes.long_events, delta=sizes.delta, tag="long")
    return rounds_of(bench, kind, job, sizes.long_rounds)


def paced(bench: Bench, kind: Kind) -> Figures:
    """Many runs at the speed of language models that wait for their readers."""
    return at_rate(bench, kind, clocked=False)


def clocked(bench: Bench, kind: Kind) -> Figures:
    """Many runs at the speed of language models that wait for nobody."""
    return at_rate(bench, kind, clocked=True)


def at_rate(bench: Bench, kind: Kind, *, clocked: bool) -> Figures:
    """Many runs of so many events a second each."""
    sizes = bench.sizes
    events = int(sizes.paced_rate * sizes.paced_seconds)
    with serve(kind) as server:
        warm_up(bench, server, Job(streams=50, events=100, rate=sizes.paced_rate, tag="paced"))
        job = Job(
            streams=sizes.paced_runs,
            events=events,
            rate=sizes.paced_rate,
            clocked=clocked,
            delta=sizes.delta,
            ramp=sizes.paced_ramp,
            tag="clocked" if clocked else "paced",
        )
        meter = Meter(server)
        result = bench.play(server, job)
        spent, costs = meter.server(), meter.per("event", result["frames"])
        ideal = (events - 1) / sizes.paced_rate
        late = [
            seconds - first - ideal
            for seconds, first in zip(result["seconds"], result["first_event"], strict=True)
        ]
        return {
            **costs,
            "cpu_share": spent / result["wall"],
            "first_byte_p50": quantile(result["first_byte"], 0.5),
            "first_byte_p99": quantile(result["first_byte"], 0.99),
            "first_event_p99": quantile(result["first_event"], 0.99),
            "late_p50": quantile(late, 0.5),
            "late_p99": quantile(late, 0.99),
            "peak_rss": server.peak_rss() / MEBIBYTE,
        }


def first_byte(bench: Bench, kind: Kind) -> Figures:
    """One run after the other on an idle server, each on a thread of its own."""
    with serve(kind) as server:
        job = Job(streams=bench.sizes.first_byte_runs, events=5, sequential=True, tag="first")
        warm_up(bench, server, job)
        meter = Meter(server)
        result = bench.play(server, job)
        return {
            "first_byte_p50": quantile(result["first_byte"], 0.5),
            "first_byte_p99": quantile(result["first_byte"], 0.99),
            "first_event_p50": quantile(result["first_event"], 0.5),
            "first_event_p99": quantile(result["first_event"], 0.99),
            "run_p50": quantile(result["seconds"], 0.5),
            **meter.per("run", job.streams),
        }


def thread_age(bench: Bench, kind: Kind) -> Figures:
    """Run start and connect on a young and on an old thread."""
    sizes = bench.sizes
    figures: Figures = {}
    with serve(kind) as server:
        warm_up(bench, server, Job(streams=20, events=5, sequential=True, tag="age"))
        between = Job(events=5, sequential=True, thread="thread-between", tag="between")
        bench.play(server, replace(between, streams=sizes.young_thread))
        for age, runs in (("young", sizes.young_thread), ("old", sizes.old_thread)):
            built = replace(between, thread=f"thread-{age}", streams=runs, tag=f"{age}-build")
            bench.play(server, built)
            # The work on a long thread leaves cold caches behind, and makes whatever comes next look slow.
            sample = replace(built, streams=sizes.thread_samples, before=between.thread)
            connect = bench.play(server, replace(sample, connect=True, tag=f"{age}-connect"))
            start = bench.play(server, replace(sample, tag=f"{age}-start"))
            figures |= {
                f"start_{age}": quantile(start["first_event"], 0.5),
                f"connect_byte_{age}": quantile(connect["first_byte"], 0.5),
                f"connect_event_{age}": quantile(connect["first_event"], 0.5),
                f"connect_whole_{age}": quantile(connect["seconds"], 0.5),
            }
    for name in ("start", "connect_byte"):
        figures[f"{name}_growth"] = figures[f"{name}_old"] / figures[f"{name}_young"]
    return figures


def open_streams(bench: Bench, kind: Kind) -> Figures:
    """Many runs that say one word and then think: what an open stream costs."""
    sizes = bench.sizes
    seen: Figures = {}
    with serve(kind) as server:
        warm_up(bench, server, Job(streams=50, events=1, tag="open"))
        before = server.rss()

        def look(seconds: float) -> None:
            window = max(0.5, (sizes.open_seconds - seconds) / 2)
            seen["open_seconds"] = seconds
            cpu = server.cpu()
            time.sleep(window)
            seen["idle_cpu"] = (server.cpu() - cpu) / window
            seen["rss_per_stream"] = (server.rss() - before) / sizes.open_streams / 1024

        job = Job(
            streams=sizes.open_streams,
            events=1,
            hold=sizes.open_seconds,
            ramp=sizes.open_ramp,
            tag="open",
        )
        meter = Meter(server)
        result = bench.play(server, job, look)
        if seen["open_seconds"] > sizes.open_seconds * 0.9:
            bench.complain(f"{kind.title}: the first streams had ended before the last ones were open")
        return seen | {
            "first_event_p99": quantile(result["first_event"], 0.99),
            **meter.per("run", job.streams),
            "peak_rss": server.peak_rss() / MEBIBYTE,
        }


def import_time(bench: Bench, kind: Kind) -> Figures:
    """Seconds that the first import takes in a fresh interpreter, with warm caches; the best of some."""
    if kind is TYPESCRIPT_MEMORY:
        program = "const t = performance.now(); await import('@copilotkit/runtime/v2');"
        program += " console.log((performance.now() - t) / 1000)"
        command, folder = ["node", "--input-type=module", "-e", program], TYPESCRIPT
    else:
        program = "import time; t = time.perf_counter(); import jumpseat; print(time.perf_counter() - t)"
        command, folder = [sys.executable, "-c", program], HERE
    env = os.environ | {"PYTHONPATH": PYTHON_PATH}
    times: list[float] = []
    for _ in range(bench.sizes.import_rounds + 1):
        done = subprocess.run(
            command, cwd=folder, env=env, capture_output=True, text=True, timeout=60, check=False
        )
        if done.returncode:
            raise BenchError(done.stderr[-1000:])
        times.append(float(done.stdout.split()[-1]))
    return {"seconds": min(times[1:])}


def model(bench: Bench, kind: Kind) -> Figures:
    """A BuiltInAgent on a model behind HTTP: what a token costs from the provider to the reader."""
    sizes = bench.sizes
    job = Job(
        streams=sizes.model_runs, events=sizes.model_tokens, delta=sizes.delta, foreign=True, tag="model"
    )
    with (
        provider(sizes.model_tokens, sizes.delta) as variables,
        serve(kind, {**variables, "BENCH_MODEL": "openai/gpt-5"}) as server,
    ):
        warm_up(bench, server, job)
        meter, speeds, tokens = Meter(server), [], job.streams * job.events
        for number in range(sizes.model_rounds):
            result = bench.play(server, replace(job, tag=f"{job.tag}{number}"))
            speeds.append(tokens / result["wall"])
        return {
            "tokens_per_second": median(speeds),
            **meter.per("token", tokens * sizes.model_rounds),
            "peak_rss": server.peak_rss() / MEBIBYTE,
        }


@dataclass(frozen=True)
class Scenario:
    """A measurement and the kinds it makes sense for."""

    name: str
    measure: Callable[[Bench, Kind], Figures]
    kinds: tuple[Kind, ...] = KINDS


SCENARIOS = (
    Scenario("burst", burst),
    Scenario("long", long_run),
    Scenario("paced", paced),
    Scenario("clocked", clocked),
    Scenario("first-byte", first_byte),
    Scenario("thread-age", thread_age, tuple(kind for kind in KINDS if kind is not BARE)),
    Scenario("open-streams", open_streams),
    Scenario("model", model, tuple(kind for kind in KINDS if kind is not BARE)),
    Scenario("import", import_time, (KINDS[0], KINDS[1])),
)
