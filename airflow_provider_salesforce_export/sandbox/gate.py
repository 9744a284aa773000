"""What every call passes on its way in: latency, the tests' own hooks, faults, and the record of calls."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from email.utils import format_datetime
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from airflow_provider_salesforce_export.sandbox.org import Call

if TYPE_CHECKING:
    from datetime import datetime

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from airflow_provider_salesforce_export.sandbox.faults import Fault
    from airflow_provider_salesforce_export.sandbox.org import SandboxOrg

MAX_TARGET = 16_384


class Gate:
    """
    Middleware in front of all that Salesforce has; ``/sandbox`` and the root page pass it by.

    :param app: What answers the calls.
    :param org: The org.
    """

    def __init__(self, app: ASGIApp, org: SandboxOrg) -> None:
        self.app = app
        self.org = org

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """
        Answer a call.

        :param scope: ASGI's description of it.
        :param receive: Gives its body.
        :param send: Takes the reply.
        """
        if scope["type"] != "http" or not scope["path"].startswith(("/services/", "/id/")):
            await self.app(scope, receive, send)
            return
        query = scope["query_string"].decode("latin-1")
        target = f"{scope['path']}?{query}" if query else scope["path"]
        await self._prepare(scope, query)
        recorder = _Recorder(send, self.org.now, lambda status: self.org.calls.append(_call(scope, query, status)))
        fault = self.org.faults.take(target)
        await self._answer(fault, len(scope["raw_path"]) + 1 + len(query), scope, receive, recorder)

    async def _prepare(self, scope: Scope, query: str) -> None:
        if not scope["path"].startswith("/services/data"):
            return
        if self.org.settings.latency:
            await asyncio.sleep(self.org.settings.latency)
        for hook in list(self.org.before_request):
            await run_in_threadpool(hook, scope["method"], scope["path"], query)

    async def _answer(self, fault: Fault | None, length: int, scope: Scope, receive: Receive, send: _Recorder) -> None:
        if length > MAX_TARGET:
            await Response("URI Too Long", 414, media_type="text/plain")(scope, receive, send)
        elif fault is None:
            await self.app(scope, receive, send)
        elif fault.truncate is not None:
            await self.app(scope, receive, _Truncated(send, fault.truncate))
        else:
            body, media_type = fault.payload()
            response = Response(body, fault.status, {"Content-Type": media_type, **fault.headers})
            await response(scope, receive, send)


class _Recorder:
    """Passes messages on, with the time by the org's clock, and notes the status, before the client can know it."""

    def __init__(self, send: Send, now: Callable[[], datetime], note: Callable[[int], None]) -> None:
        self._send = send
        self._now = now
        self._note = note

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._note(message["status"])
            date = format_datetime(self._now(), usegmt=True)
            message["headers"] = [*message.get("headers", ()), (b"date", date.encode("ascii"))]
        await self._send(message)


class _Truncated:
    """Passes a reply on up to some bytes, and then nothing: the server closes the connection in the middle."""

    def __init__(self, send: Send, size: int) -> None:
        self._send = send
        self._left = size

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.body":
            body = message.get("body", b"")[: self._left]
            self._left -= len(body)
            message = {"type": "http.response.body", "body": body, "more_body": True}
        await self._send(message)


def _call(scope: Scope, query: str, status: int) -> Call:
    headers = {name: value for name, value in scope["headers"] if name == b"user-agent"}
    soql = parse_qs(query).get("q", [None])[0] if "/query" in scope["path"] else None
    return Call(scope["method"], scope["path"], soql, status, headers.get(b"user-agent", b"").decode("latin-1"))
