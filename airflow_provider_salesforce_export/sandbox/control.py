"""
The org's knobs over HTTP, for a demo in another process.

``GET /sandbox/state``, ``POST /sandbox/expire-tokens``, ``POST /sandbox/tokens``, ``POST /sandbox/revoke-grants``,
``POST /sandbox/faults`` and ``DELETE /sandbox/faults``; ``GET /`` says to a browser how to connect.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from airflow_provider_salesforce_export.sandbox.pages import root_page

if TYPE_CHECKING:
    from starlette.requests import Request

    from airflow_provider_salesforce_export.sandbox.org import SandboxOrg


class Control:
    """
    The routes of the knobs.

    :param org: The org.
    """

    def __init__(self, org: SandboxOrg) -> None:
        self.org = org
        self.routes = [
            Route("/", self.root),
            Route("/sandbox/state", self.state),
            Route("/sandbox/expire-tokens", self.expire_tokens, methods=["POST"]),
            Route("/sandbox/tokens", self.tokens, methods=["POST"]),
            Route("/sandbox/revoke-grants", self.revoke_grants, methods=["POST"]),
            Route("/sandbox/faults", self.faults, methods=["POST"]),
            Route("/sandbox/faults", self.clear_faults, methods=["DELETE"]),
        ]

    async def root(self, request: Request) -> Response:
        """
        Say what this is.

        :param request: The browser's request.
        """
        return HTMLResponse(root_page(str(request.base_url).rstrip("/"), self.org.settings))

    async def state(self, request: Request) -> Response:
        """
        Show counters and settings.

        :param request: The request.
        """
        return JSONResponse(self.org.state())

    async def expire_tokens(self, request: Request) -> Response:
        """
        End all sessions, now or after some calls.

        :param request: Optionally JSON ``{"after_calls": n}``.
        """
        after = (await _posted(request)).get("after_calls")
        if after is None:
            self.org.expire_tokens()
        elif isinstance(after, int):
            self.org.expire_tokens_after(after)
        else:
            return _refused("after_calls must be a whole number")
        return Response(status_code=204)

    async def tokens(self, request: Request) -> Response:
        """
        Give a token reply, as after a login in the browser.

        :param request: The request.
        """
        return JSONResponse(self.org.oauth.issue(str(request.base_url).rstrip("/")))

    async def revoke_grants(self, request: Request) -> Response:
        """
        Revoke all refresh tokens and sessions.

        :param request: The request.
        """
        self.org.revoke_grants()
        return Response(status_code=204)

    async def faults(self, request: Request) -> Response:
        """
        Plan a fault.

        :param request: JSON with the parameters of ``SandboxOrg.fail_next``.
        """
        try:
            self.org.fail_next(**await _posted(request))
        except TypeError as error:
            return _refused(str(error))
        return Response(status_code=204)

    async def clear_faults(self, request: Request) -> Response:
        """
        Forget all planned faults.

        :param request: The request.
        """
        self.org.faults.clear()
        return Response(status_code=204)


async def _posted(request: Request) -> dict[str, Any]:
    body = await request.body()
    try:
        posted = msgspec.json.decode(body) if body else {}
    except msgspec.DecodeError:
        return {}
    return posted if isinstance(posted, dict) else {}


def _refused(message: str) -> Response:
    return JSONResponse({"error": message}, 400)
