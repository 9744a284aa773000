"""Run the measurements: ``python -m benchmarks``, or ``make bench``."""

from __future__ import annotations

import argparse
import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks import airflow_cost, exporting, formats, showing
from benchmarks.targets import DEFAULT_THREADS, Target, bulk_targets, export_targets, format_targets

RESULTS = Path(".bench/results.json")
SECTIONS = ("export", "scaling", "bulk", "formats", "airflow")
SIZES = [50_000, 200_000, 500_000]
BULK_SIZES = [50_000, 500_000, 1_000_000]

console = Console()


def main(arguments: Sequence[str] | None = None) -> int:
    """
    Measure, print tables, and write the raw figures. Returns 0 also where a target is missed.

    :param arguments: The command line; by default the process's own.
    """
    options = _options(arguments)
    results: dict[str, Any] = {"at": datetime.now(timezone.utc).isoformat(timespec="seconds"), "machine": _machine()}
    targets: list[Target] = []
    if "export" in options.only:
        targets += _export(options.rows, options.rounds, results)
    if "scaling" in options.only:
        _scaling(results)
    if "bulk" in options.only:
        targets += _bulk(options.rounds, results)
    if "formats" in options.only:
        targets += _formats(results)
    if "airflow" in options.only:
        _airflow(results)
    results["load_at_end"] = os.getloadavg()[0]
    RESULTS.parent.mkdir(exist_ok=True)
    results["targets"] = [asdict(target) | {"is_met": target.is_met} for target in targets]
    RESULTS.write_text(json.dumps(results, indent=2))
    if targets:
        showing.summary(targets, console)
    console.print(
        f"Load average {results['machine']['load']:.1f} at the start, {results['load_at_end']:.1f} at the end."
    )
    console.print(f"Raw figures: {RESULTS}")
    return 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=SECTIONS, help="what to measure")
    parser.add_argument("--rows", type=int, default=50_000, help="contacts that are exported")
    parser.add_argument("--rounds", type=int, default=3, help="how often each contestant runs")
    return parser.parse_args(arguments)


def _machine() -> dict[str, Any]:
    return {"cpus": os.cpu_count(), "python": platform.python_version(), "load": os.getloadavg()[0]}


def _export(rows: int, rounds: int, results: dict[str, Any]) -> list[Target]:
    console.print(f"Exporting {rows:,} contacts, {exporting.LATENCY * 1000:.0f} ms a call, {rounds} rounds ...")
    results["export"] = exporting.compare(rows, rounds)
    targets = export_targets({name: result["best"] for name, result in results["export"].items()})
    console.print(showing.export_table(results["export"]))
    console.print("seconds, CPU: the least of the rounds, as other programs can only add to them.")
    console.print("MiB: the greatest peak of resident memory, above what it was after the imports.")
    console.print(showing.target_table(targets))
    return targets


def _scaling(results: dict[str, Any]) -> None:
    console.print("Exporting ever more contacts; making half a million takes a while ...")
    results["scaling"] = list(exporting.scale(SIZES))
    console.print(showing.scaling_table(results["scaling"]))


def _bulk(rounds: int, results: dict[str, Any]) -> list[Target]:
    console.print("Reading by REST and by Bulk; making a million contacts takes a while ...")
    fewest, *more = BULK_SIZES
    results["bulk"] = [*exporting.compare_bulk([fewest], rounds), *exporting.compare_bulk(more, rounds=1)]
    for size in results["bulk"]:
        console.print(showing.bulk_table(size["rows"], size["results"]))
    console.print("By Bulk, seconds begin with the complete job; the org's CPU includes the job itself.")
    console.print(
        "bulk2 reads the results one after another over one connection, and writes all values as texts. The package "
        f"reads {DEFAULT_THREADS} at once in each page task and two columns more, types, sorts, hashes and compares "
        "what it writes. A page task is a process of its own, as under Airflow, but with all imports done."
    )
    targets = bulk_targets(results["bulk"])
    console.print(showing.target_table(targets))
    return targets


def _formats(results: dict[str, Any]) -> list[Target]:
    console.print("Writing contacts in each format ...")
    results["formats"] = formats.compare_formats()
    console.print(showing.format_table(results["formats"]))
    targets = format_targets(results["formats"])
    console.print(showing.target_table(targets))
    return targets


def _airflow(results: dict[str, Any]) -> None:
    console.print("Running an export in Airflow, in one page task and in many ...")
    results["airflow"] = {"tasks": airflow_cost.task_cost(), "parses": airflow_cost.parse_cost(Path("dags"))}
    console.print(showing.airflow_table(results["airflow"]["tasks"], results["airflow"]["parses"]))


if __name__ == "__main__":
    raise SystemExit(main())
