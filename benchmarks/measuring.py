"""What a piece of work costs the process that does it, and running such processes afresh."""

from __future__ import annotations

import gc
import json
import multiprocessing
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_RESET_PEAK = "5"  # what to write to clear_refs; see proc(5)


@dataclass(frozen=True)
class Cost:
    """
    What a piece of work cost its process.

    :param seconds: Wall clock.
    :param cpu: CPU seconds of all threads, user and system, and of processes that ended meanwhile.
    :param memory: Bytes by which the resident set grew at its peak beyond what it was before the work began.
    """

    seconds: float
    cpu: float
    memory: int


def measure(work: Callable[[], Any]) -> tuple[Cost, Any]:
    """
    Do some work, and return what it cost and what came of it.

    The memory is Linux's VmHWM (peak resident set) less VmRSS before the work, with the peak reset in between, so that
    neither imports nor what they needed for a moment count. Nor does what the allocator still held free of it: measure
    in a fresh process (:func:`run_fresh`).

    :param work: What to do. Everything that it imports should be imported before.
    """
    gc.collect()
    Path("/proc/self/clear_refs").write_text(_RESET_PEAK)
    memory, cpu, started = _memory("VmRSS"), _own_cpu_seconds(), time.perf_counter()
    came_of_it = work()
    cost = Cost(
        round(time.perf_counter() - started, 4),
        round(_own_cpu_seconds() - cpu, 4),
        max(0, _memory("VmHWM") - memory),
    )
    return cost, came_of_it


def in_processes(works: Sequence[Callable[[], Any]]) -> tuple[list[Any], int]:
    """
    Do several pieces of work at once, each in a process that begins as a copy of this one.

    :param works: What to do.
    :returns: What came of each, and the bytes by which the processes grew, added up.
    :raises EOFError: One of them failed.
    """
    context = multiprocessing.get_context("fork")
    receivers, processes = [], []
    for work in works:
        receiver, sender = context.Pipe(duplex=False)
        process = context.Process(target=lambda work=work, sender=sender: sender.send(measure(work)))
        process.start()
        sender.close()
        receivers.append(receiver)
        processes.append(process)
    done = [receiver.recv() for receiver in receivers]
    for process in processes:
        process.join()
    return [came_of_it for _, came_of_it in done], sum(cost.memory for cost, _ in done)


def _own_cpu_seconds() -> float:
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def _memory(name: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise KeyError(name)


def cpu_seconds(pid: int) -> float:
    """
    Return the CPU seconds that a process has used so far.

    :param pid: The process.
    """
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def run_fresh(module: str, job: Mapping[str, Any], environment: Mapping[str, str] | None = None) -> dict[str, Any]:
    """
    Run a module in a fresh process, and return what it reports.

    :param module: A module whose ``__main__`` part calls :func:`report`.
    :param job: What to do, as plain data.
    :param environment: Environment variables besides those of this process.
    :raises RuntimeError: The process failed; the message holds what it printed.
    """
    with tempfile.NamedTemporaryFile("r", suffix=".json") as reported:
        done = subprocess.run(
            [sys.executable, "-m", module, reported.name],
            input=json.dumps(job),
            env={**os.environ, **(environment or {})},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"{module} failed:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
        result: dict[str, Any] = json.load(reported)
        return result


def report(work: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """
    Do, in a fresh process, what :func:`run_fresh` asked for.

    :param work: Takes the job and returns the report, both plain data.
    """
    Path(sys.argv[1]).write_text(json.dumps(work(json.load(sys.stdin))))
