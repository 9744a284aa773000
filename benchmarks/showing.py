"""The tables that a person reads."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from rich.table import Table

if TYPE_CHECKING:
    from rich.console import Console

    from benchmarks.targets import Target

_MEBIBYTE = 2**20
_COSTS = ("seconds", "CPU s", "org CPU s", "MiB")


def export_table(results: Mapping[str, Mapping[str, Any]]) -> Table:
    """Return the figures of all contestants."""
    table = _table("Export of all contacts", "contestant", *_COSTS, "calls")
    for name, result in results.items():
        best = result["best"]
        table.add_row(name, *_costs(best), str(best["api_calls"]))
    return table


def target_table(targets: Iterable[Target]) -> Table:
    """Return which targets are met, and by how much."""
    table = _table("Targets", "", "measured", "wanted", "")
    for target in targets:
        style = "green" if target.is_met else "bold red"
        wanted = f"{'≥' if target.at_least else '≤'} {target.limit:g}"
        table.add_row(target.name, f"{target.value:.3g}", wanted, f"[{style}]{target.verdict}[/]")
    return table


def scaling_table(results: Iterable[Mapping[str, Any]]) -> Table:
    """Return seconds and memory by the number of rows."""
    table = _table("Scaling of the package, 4 threads", "rows", *_COSTS, "calls", "s per 50,000")
    for figures in results:
        each = figures["seconds"] / figures["rows"] * 50_000
        table.add_row(f"{figures['rows']:,}", *_costs(figures), str(figures["api_calls"]), f"{each:.2f}")
    return table


def bulk_table(rows: int, results: Mapping[str, Mapping[str, Any]]) -> Table:
    """Return the figures of REST and Bulk."""
    table = _table(f"REST and Bulk, {rows:,} rows", "contestant", *_COSTS, "calls", "rows a second")
    for name, result in results.items():
        best = result["best"]
        table.add_row(name, *_costs(best), str(best["api_calls"]), f"{rows / best['seconds']:,.0f}")
    return table


def format_table(formats: Mapping[str, Mapping[str, Any]]) -> Table:
    """Return speed and size by format."""
    table = _table("Formats, one thread", "format", "rows a CPU second", "bytes a row")
    for name, figures in formats.items():
        table.add_row(name, f"{figures['rows_per_cpu_second']:,}", f"{figures['bytes_per_row']:.0f}")
    return table


def airflow_table(tasks: Mapping[str, Any], parses: Mapping[str, float]) -> Table:
    """Return what Airflow adds."""
    table = _table("Airflow's own cost", "", "seconds", "CPU s")
    for run in tasks["runs"]:
        table.add_row(f"dag.test(), page tasks: {run['page_tasks']}", f"{run['seconds']:.2f}", f"{run['cpu']:.2f}")
    table.add_row("each page task more", *(f"{tasks['per_task'][name]:.3f}" for name in ("seconds", "cpu")))
    for name, cpu in parses.items():
        table.add_row(f"parse {name}", "", f"{cpu:.3f}")
    return table


def summary(targets: Iterable[Target], console: Console) -> None:
    """Print, last, how many targets are met, and which are not."""
    targets = list(targets)
    missed = [target for target in targets if not target.is_met]
    console.print(f"{len(targets) - len(missed)} of {len(targets)} targets are met.")
    for target in missed:
        console.print(f"[bold red]Missed:[/] {target.name}: {target.value:.3g}, {target.verdict}.")


def _table(title: str, first: str, *others: str) -> Table:
    table = Table(title=title, title_justify="left")
    table.add_column(first)
    for column in others:
        table.add_column(column, justify="right", no_wrap=True)
    return table


def _costs(figures: Mapping[str, Any]) -> tuple[str, ...]:
    times = (f"{figures[name]:.2f}" for name in ("seconds", "cpu", "org_cpu"))
    return *times, f"{figures['memory'] / _MEBIBYTE:.0f}"
