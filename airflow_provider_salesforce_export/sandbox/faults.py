"""Faults on demand: what the org answers instead of its real reply, and where it cuts a reply short."""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass, field
from typing import Any

import msgspec

_CODES = {
    401: ("INVALID_SESSION_ID", "Session expired or invalid"),
    403: ("REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded."),
    420: ("REQUEST_LIMIT_EXCEEDED", "Too many requests."),
    429: ("REQUEST_LIMIT_EXCEEDED", "Too many requests."),
    500: ("UNKNOWN_EXCEPTION", "An unexpected error occurred. Please include this ErrorId if you contact support."),
    503: ("SERVER_UNAVAILABLE", "The server is temporarily unavailable. Please try again later."),
}


@dataclass
class Fault:
    """
    Something that goes wrong with calls to come.

    :param times: How many calls it hits.
    :param status: HTTP status of the reply.
    :param body: The reply: text, bytes, or something for JSON; by default Salesforce's error for the status.
    :param headers: Headers of the reply.
    :param path_pattern: Regular expression to be found in path and query; by default all data calls.
    :param after: How many matching calls pass before it begins.
    :param truncate: Send the real reply, with its headers, but no more than this many bytes of its body.
    """

    times: int = 1
    status: int = 503
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    path_pattern: str | None = None
    after: int = 0
    truncate: int | None = None

    def hits(self, target: str) -> bool:
        """
        Return whether the fault concerns a call.

        :param target: Path and query.
        """
        if self.path_pattern is None:
            return target.startswith("/services/data/")
        return re.search(self.path_pattern, target) is not None

    def payload(self) -> tuple[bytes, str]:
        """Return body and content type of the reply."""
        if isinstance(self.body, bytes | str):
            body = self.body.encode() if isinstance(self.body, str) else self.body
            return body, "text/html; charset=utf-8" if body.lstrip()[:1] == b"<" else "application/json"
        if self.body is not None:
            return msgspec.json.encode(self.body), "application/json"
        code, message = _CODES.get(self.status, ("UNKNOWN_EXCEPTION", f"Fault {self.status}"))
        return msgspec.json.encode([{"message": message, "errorCode": code}]), "application/json"


class Faults:
    """The faults to come, in the order in which they were asked for; safe to use from several threads."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._lock = threading.Lock()

    def add(self, fault: Fault) -> None:
        """
        Plan a fault.

        :param fault: The fault.
        """
        with self._lock:
            self._faults.append(fault)

    def clear(self) -> None:
        """Forget all faults."""
        with self._lock:
            self._faults.clear()

    def take(self, target: str) -> Fault | None:
        """
        Return the fault that hits a call, if any.

        :param target: Path and query of the call.
        """
        with self._lock:
            for fault in self._faults:
                if not fault.hits(target):
                    continue
                if fault.after > 0:
                    fault.after -= 1
                    continue
                fault.times -= 1
                if fault.times <= 0:
                    self._faults.remove(fault)
                return fault
        return None
