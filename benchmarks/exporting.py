"""Runs the contestants against an org, in turn, and looks whether they did their work."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.contacts import QUERY, page_queries
from benchmarks.measuring import run_fresh
from benchmarks.org import Org, running_org
from benchmarks.targets import BULK_IN_TASKS, DEFAULT_THREADS, THREADS, best_of, name_of

LATENCY = 0.1  # seconds that each call to the org takes before its work: a real org's network and queue

_BULK_JOBS: dict[str, dict[str, Any]] = {
    "simple-salesforce bulk2": {"contestant": "simple-salesforce bulk2"},
    "package, by REST": {"contestant": "package", "threads": DEFAULT_THREADS},
    "package, by Bulk": {"contestant": "package, bulk", "threads": DEFAULT_THREADS, "page_tasks": 1},
    BULK_IN_TASKS: {"contestant": "package, bulk", "threads": DEFAULT_THREADS, "page_tasks": 2},
}
_IN_EACH_RECORD = b'"SystemModstamp":'


def compare(rows: int, rounds: int) -> dict[str, dict[str, Any]]:
    """
    Return the figures of all contestants by name: those of each round, and the best.

    The rounds are interleaved, so that a busy minute of the machine meets all contestants.

    :param rows: Contacts in the org.
    :param rounds: How often each contestant runs.
    """
    with running_org(contacts=rows, latency=LATENCY) as org:
        # Nobody can know these queries beforehand; asking for them also warms the org's caches.
        queries = page_queries(org.token())
        measured: dict[str, list[dict[str, Any]]] = {}
        for _ in range(rounds):
            for name, job in _jobs(queries):
                measured.setdefault(name, []).append(_export(org, rows, job))
    return {name: {"best": best_of(figures), "rounds": figures} for name, figures in measured.items()}


def scale(sizes: list[int]) -> Iterator[dict[str, Any]]:
    """
    Yield the package's figures for ever more rows, with the operator's default of threads.

    :param sizes: Contacts in the org.
    """
    for rows in sizes:
        with running_org(contacts=rows, latency=LATENCY) as org:
            yield {"rows": rows, **_export(org, rows, {"contestant": "package", "threads": DEFAULT_THREADS})}


def compare_bulk(sizes: list[int], rounds: int) -> Iterator[dict[str, Any]]:
    """
    Yield, for ever more rows, the figures of REST and Bulk, and of the peer by Bulk.

    What is measured by Bulk begins with a complete job: how long Salesforce takes for it is no matter of the client.

    :param sizes: Contacts in the org.
    :param rounds: How often each contestant runs.
    """
    for rows in sizes:
        with running_org(contacts=rows, latency=LATENCY) as org:
            measured: dict[str, list[dict[str, Any]]] = {}
            for _ in range(rounds):
                for name, job in _BULK_JOBS.items():
                    measured.setdefault(name, []).append(_export(org, rows, job))
        yield {"rows": rows, "results": {name: {"best": best_of(figures)} for name, figures in measured.items()}}


def _jobs(queries: list[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    for peer in ("simple-salesforce query_all", "simple-salesforce query_all_iter"):
        yield peer, {"contestant": peer}
    for threads in THREADS:
        for contestant in ("floor", "package"):
            job = {"contestant": contestant, "threads": threads}
            yield name_of(contestant, threads), {**job, "page_queries": queries} if contestant == "floor" else job


def _export(org: Org, rows: int, job: dict[str, Any]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        calls, cpu = org.api_calls(), org.cpu_seconds()
        figures = run_fresh(
            "benchmarks.contestants", {**job, "token": org.token(), "soql": QUERY.select(), "folder": name}
        )
        figures |= {"api_calls": org.api_calls() - calls, "org_cpu": round(org.cpu_seconds() - cpu, 2)}
        found = sum(map(_records_in, Path(name).iterdir()))
    if found != rows:
        raise RuntimeError(f"{job['contestant']} wrote {found} contacts of {rows}.")
    return figures


def _records_in(file: Path) -> int:
    """Count the records in a file, a piece of it at a time: a peer's may have hundreds of megabytes."""
    with file.open("rb") as pieces:
        count, end = 0, b""
        while piece := pieces.read(2**24):
            text = end + piece
            count += text.count(_IN_EACH_RECORD)
            end = text[len(text) - len(_IN_EACH_RECORD) + 1 :]
        return count
