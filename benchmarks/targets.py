"""The arithmetic: one figure from several rounds, ratios, and whether they meet the targets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Figures = Mapping[str, Any]
"""What was measured of a contestant: ``seconds``, ``cpu``, ``memory``, ``api_calls``, ..."""

THREADS = (1, 4, 8)
DEFAULT_THREADS = 4
"""The operator's own default: what is compared with programs that have no threads."""

BULK_IN_TASKS = "package, by Bulk, 2 page tasks"
"""One for each core of a small machine; Airflow would run up to eight, where there are workers."""

_PEER = "simple-salesforce query_all"
_MEBIBYTE = 2**20
_LARGEST = ("memory", "api_calls")


def name_of(contestant: str, threads: int) -> str:
    """Return how a contestant with threads is called in tables and results."""
    return f"{contestant}, {threads} {'thread' if threads == 1 else 'threads'}"


def best_of(rounds: Sequence[Figures]) -> dict[str, Any]:
    """
    Return one figure of each kind.

    The least of seconds and CPU: whatever else runs on the machine can only add to them. The greatest of memory and
    calls: these are peaks, and do not depend on the load.

    :param rounds: The figures of one contestant, round by round.
    """
    return {name: (max if name in _LARGEST else min)(figures[name] for figures in rounds) for name in rounds[0]}


@dataclass(frozen=True)
class Target:
    """
    A bound that a figure should keep.

    :param name: What is compared.
    :param value: What was measured.
    :param limit: The bound.
    :param at_least: Whether the bound is a lower one.
    """

    name: str
    value: float
    limit: float
    at_least: bool = False

    @property
    def is_met(self) -> bool:
        """Return whether the bound is kept."""
        return self.value >= self.limit if self.at_least else self.value <= self.limit

    @property
    def verdict(self) -> str:
        """Return ``met, 12 % to spare`` or ``missed by 12 %``, of the bound."""
        off = round(abs(self.value - self.limit) / self.limit * 100)
        return f"met, {off} % to spare" if self.is_met else f"missed by {off} %"


def export_targets(figures: Mapping[str, Figures]) -> list[Target]:
    """
    Compare the package with its peers.

    :param figures: By the names of :func:`name_of`; the peer without threads by its own.
    """
    peer, package = figures[_PEER], figures[name_of("package", DEFAULT_THREADS)]
    faster = Target("times as fast as query_all", peer["seconds"] / package["seconds"], 3, at_least=True)
    leaner = Target("MiB, of query_all", package["memory"] / peer["memory"], 0.25)
    return [faster, *_against_floor(figures), leaner, *_calls(figures)]


def bulk_targets(sizes: Iterable[Mapping[str, Any]]) -> list[Target]:
    """
    Compare the package with its peer by Bulk.

    :param sizes: What :func:`benchmarks.exporting.compare_bulk` yielded.
    """
    targets = []
    for size in sizes:
        results, rows = size["results"], f"{size['rows']:,} rows"
        peer, package = (results[name]["best"] for name in ("simple-salesforce bulk2", BULK_IN_TASKS))
        faster = peer["seconds"] / package["seconds"]
        targets.append(Target(f"times as fast as bulk2, {rows}", faster, 2, at_least=True))
        targets.append(Target(f"MiB, {rows}", package["memory"] / _MEBIBYTE, 200))
    return targets


def format_targets(formats: Mapping[str, Figures]) -> list[Target]:
    """
    Compare the speed of JSON Lines with what it should be.

    :param formats: What :func:`benchmarks.formats.compare_formats` returned.
    """
    return [Target("JSON Lines, rows a CPU second", formats["jsonl"]["rows_per_cpu_second"], 150_000, at_least=True)]


def _against_floor(figures: Mapping[str, Figures]) -> Iterable[Target]:
    for threads in THREADS:
        package, floor = (figures[name_of(contestant, threads)] for contestant in ("package", "floor"))
        yield Target(name_of("seconds, of floor", threads), package["seconds"] / floor["seconds"], 1.25)


def _calls(figures: Mapping[str, Figures]) -> Iterable[Target]:
    for threads in THREADS:
        package = figures[name_of("package", threads)]
        yield Target(name_of("calls", threads), package["api_calls"], most_calls(package))


def most_calls(figures: Figures) -> int:
    """Return the most calls that an export should make: one COUNT, two bounds, two a range, one a page."""
    return int(1 + 2 + 2 * figures["ranges"] + figures["pages"])
