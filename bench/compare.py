"""Measures the TypeScript runtime and Jumpseat side by side: ``python bench/compare.py --help``."""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path
from statistics import median
from typing import Any

from measure import QUICK, SCENARIOS, Bench, Figures, Scenario, Sizes
from report import table
from servers import HERE, KINDS, TYPESCRIPT_MEMORY, BenchError, Kind, install_typescript


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = [scenario.name for scenario in SCENARIOS]
    parser.add_argument(
        "--quick", action="store_true", help="everything smaller: a smoke test, no figures to quote"
    )
    parser.add_argument(
        "--only", action="append", choices=names, metavar="NAME", help=f"one of {', '.join(names)}"
    )
    parser.add_argument("--kinds", default="", help=f"columns, of {','.join(kind.name for kind in KINDS)}")
    parser.add_argument(
        "--skip-typescript", action="store_true", help="no Node.js: Jumpseat's own figures only"
    )
    parser.add_argument("--runs", type=int, help="how many paced runs at once (default 500)")
    parser.add_argument("--seconds", type=float, help="length of each paced run (default 10)")
    parser.add_argument("--ramp", type=float, help="seconds in which the paced runs start (default 1)")
    parser.add_argument(
        "--repeat",
        type=int,
        default=1,
        metavar="N",
        help="measure each scenario N times, the columns in turn, and take the median of every figure",
    )
    parser.add_argument("--out", type=Path, default=HERE / "results", help="folder for the figures as JSON")
    return parser.parse_args()


def columns(args: argparse.Namespace) -> tuple[Kind, ...]:
    """The kinds of server that were asked for."""
    wanted = set(args.kinds.split(",")) if args.kinds else {kind.name for kind in KINDS}
    if args.skip_typescript:
        wanted.discard(TYPESCRIPT_MEMORY.name)
    unknown = wanted - {kind.name for kind in KINDS}
    if unknown:
        raise BenchError(f"unknown kind {min(unknown)!r}; there are {', '.join(k.name for k in KINDS)}")
    return tuple(kind for kind in KINDS if kind.name in wanted)


def run_scenario(
    bench: Bench, scenario: Scenario, kinds: tuple[Kind, ...], repeat: int
) -> dict[str, Figures]:
    """One scenario on every kind, one after the other, so that they meet the same machine."""
    measured: dict[str, list[Figures]] = {}
    for turn in range(repeat):
        for kind in kinds:
            if kind not in scenario.kinds:
                continue
            print(f"  {scenario.name} {turn + 1}: {kind.title} ...", file=sys.stderr, flush=True)
            try:
                measured.setdefault(kind.name, []).append(scenario.measure(bench, kind))
            except BenchError as error:
                bench.complain(f"{scenario.name}, {kind.title}: {error}")
    return {name: medians(turns) for name, turns in measured.items()}


def medians(turns: list[Figures]) -> Figures:
    """The median of every figure."""
    return {key: median(figures[key] for figures in turns) for key in turns[0]} if turns else {}


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    try:
        node = subprocess.run(
            ["node", "--version"], capture_output=True, text=True, check=False
        ).stdout.strip()
    except FileNotFoundError:
        node = ""
    return {
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0],
        "python": platform.python_version(),
        "node": node,
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def save(folder: Path, content: dict[str, Any]) -> Path:
    """Writes the figures as JSON and returns the file."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{content['machine']['time'].replace(':', '')}.json"
    path.write_text(json.dumps(content, indent=2) + "\n")
    return path


def main() -> int:
    # A terminated benchmark stops its servers like an interrupted one.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    args = arguments()
    sizes = QUICK if args.quick else Sizes()
    if args.runs:
        sizes = replace(sizes, paced_runs=args.runs)
    if args.seconds:
        sizes = replace(sizes, paced_seconds=args.seconds)
    if args.ramp is not None:
        sizes = replace(sizes, paced_ramp=args.ramp)
    complaints: list[str] = []
    bench = Bench(sizes, complaints.append)
    try:
        kinds = columns(args)
        if TYPESCRIPT_MEMORY in kinds:
            install_typescript()
    except (BenchError, subprocess.CalledProcessError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    content: dict[str, Any] = {
        "machine": machine(),
        "sizes": asdict(sizes),
        "figures": {},
        "complaints": complaints,
    }
    for scenario in SCENARIOS:
        if args.only and scenario.name not in args.only:
            continue
        figures = run_scenario(bench, scenario, kinds, max(1, args.repeat))
        content["figures"][scenario.name] = figures
        print(table(scenario.name, figures, kinds, judged=not args.quick) + "\n", flush=True)
    for complaint in complaints:
        print(f"! {complaint}")
    print(f"figures: {os.path.relpath(save(args.out, content))}")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
