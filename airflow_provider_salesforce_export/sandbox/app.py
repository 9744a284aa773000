"""Puts the org's routes together into an ASGI application."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from airflow_provider_salesforce_export.sandbox.control import Control
from airflow_provider_salesforce_export.sandbox.gate import Gate
from airflow_provider_salesforce_export.sandbox.login import Login
from airflow_provider_salesforce_export.sandbox.messages import Reply, Request
from airflow_provider_salesforce_export.sandbox.rest import DataApi

if TYPE_CHECKING:
    from starlette.requests import Request as HttpRequest

    from airflow_provider_salesforce_export.sandbox.org import SandboxOrg

_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]
_SMALL = 1_000


def create_app(org: SandboxOrg) -> Starlette:
    """
    Return the application that makes an org of a sandbox.

    :param org: The org.
    """
    data = DataRoutes(org)
    routes = [*Control(org).routes, *Login(org).routes, *data.routes]
    return Starlette(routes=routes, middleware=[Middleware(Gate, org=org)])


class DataRoutes:
    """
    Carries calls of the data API from HTTP to the org and back, each on a thread of its own.

    :param org: The org.
    """

    def __init__(self, org: SandboxOrg) -> None:
        self._api = DataApi(org)
        self.routes = [
            Route("/services/data", self.answer, methods=_METHODS),
            Route("/services/data/{rest:path}", self.answer, methods=_METHODS),
        ]

    async def answer(self, request: HttpRequest) -> Response:
        """
        Answer a call.

        :param request: The call.
        """
        call = Request(
            "GET" if request.method == "HEAD" else request.method,
            "/" + request.path_params.get("rest", ""),
            request.query_params,
            request.headers,
            await request.body(),
        )
        reply = await run_in_threadpool(self._work, call)
        response = StreamingResponse(reply.stream, reply.status) if reply.stream else Response(reply.body, reply.status)
        response.headers.update(reply.headers)
        return response

    def _work(self, call: Request) -> Reply:
        reply = self._api.answer(call)
        reply.headers["Vary"] = "Accept-Encoding"
        if reply.status in {204, 304}:
            return reply
        reply.headers.setdefault("Content-Type", "application/json;charset=UTF-8")
        compressible = reply.stream is not None or len(reply.body) >= _SMALL
        if compressible and "gzip" in call.headers.get("accept-encoding", ""):
            reply.headers["Content-Encoding"] = "gzip"
            if reply.stream is None:
                reply.body = gzip.compress(reply.body, 1)
            else:
                reply.stream = reply.compressed_stream
        return reply
