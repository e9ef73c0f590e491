"""The benchmark and the soak work, and find nothing to complain about in a small load."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

BENCH = Path(__file__).parents[2] / "bench"
SECONDS = 240


def run(program: str, *options: str) -> str:
    """What it printed; it has to succeed."""
    command = [sys.executable, str(BENCH / program), *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_comparison_measures_all_stores(tmp_path):
    kinds = ["memory", "sqlite", "postgres", "redis"]
    told = run("compare.py", "--quick", "--only", "burst", "--kinds", ",".join(kinds), "--out", str(tmp_path))
    assert "Jumpseat PostgreSQL" in told
    (saved,) = tmp_path.iterdir()
    figures = json.loads(saved.read_text())["figures"]["burst"]
    assert sorted(figures) == sorted(kinds)
    assert all(found["cpu_per_event"] > 0 for found in figures.values())
    with_database = [name for name, found in figures.items() if found.get("database_cpu_per_event", 0) > 0]
    assert with_database == ["postgres", "redis"]


def test_a_short_soak_finds_no_fault():
    load = ["--minutes", "0.1", "--streams", "10", "--rate", "40", "--kill-every", "3"]
    told = run("soak.py", "--store", "postgres", *load).splitlines()
    assert told[-1] == "no faults"
    named = (line.rsplit(maxsplit=1) for line in told[2:8])
    counts = {name.strip(): int(count.replace(",", "")) for name, count in named}
    assert counts["events stored"] > 100
    assert any(line.split()[0] == "kills" and int(line.split()[1]) >= 1 for line in told[1:-1])
