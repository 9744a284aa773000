"""A sandbox org in a process of its own, so that it shares no interpreter with what is measured."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import requests

from benchmarks.measuring import cpu_seconds

_QUOTA = 10_000_000


@dataclass(frozen=True)
class Org:
    """
    A running org.

    :param url: Where it is.
    :param pid: Its process.
    """

    url: str
    pid: int

    def token(self) -> dict[str, Any]:
        """Return a token reply, as after a login."""
        reply: dict[str, Any] = requests.post(f"{self.url}/sandbox/tokens", timeout=10).json()
        return reply

    def api_calls(self) -> int:
        """Return how many data calls the org has counted so far."""
        return int(requests.get(f"{self.url}/sandbox/state", timeout=10).json()["api_calls"])

    def cpu_seconds(self) -> float:
        """Return the CPU seconds that the org has used so far."""
        return cpu_seconds(self.pid)


@contextmanager
def running_org(*, contacts: int, latency: float) -> Iterator[Org]:
    """
    Start an org with contacts, and stop it at the end.

    :param contacts: How many.
    :param latency: Seconds that it adds to every data call.
    :raises RuntimeError: It did not start.
    """
    command = [sys.executable, "-m", "benchmarks.org", str(contacts), str(latency)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        url = process.stdout.readline().strip() if process.stdout else ""
        if not url:
            raise RuntimeError("The sandbox org did not start.")
        yield Org(url, process.pid)
        # Leaving closes its stdin, which ends it; so does the end of this process, however it comes.


def _serve(contacts: int, latency: float) -> None:
    from airflow_provider_salesforce_export.sandbox import SandboxServer, SandboxSettings

    settings = SandboxSettings(contacts=contacts, deals=0, notes=0, latency=latency, api_quota=_QUOTA)
    with SandboxServer(settings) as server:
        print(server.url, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    _serve(int(sys.argv[1]), float(sys.argv[2]))
