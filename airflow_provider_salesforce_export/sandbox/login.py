"""OAuth over HTTP: the consent page, and the endpoints that tokens come from."""

from __future__ import annotations

import secrets
from base64 import b64decode
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, unquote, urlencode

from starlette.concurrency import run_in_threadpool
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from airflow_provider_salesforce_export.sandbox.errors import OAuthError
from airflow_provider_salesforce_export.sandbox.pages import consent_page, error_page

if TYPE_CHECKING:
    from starlette.requests import Request

    from airflow_provider_salesforce_export.sandbox.oauth import Authorization
    from airflow_provider_salesforce_export.sandbox.org import SandboxOrg

_MAX_PENDING = 100


class Login:
    """
    The OAuth endpoints of an org.

    :param org: The org.
    """

    def __init__(self, org: SandboxOrg) -> None:
        self.org = org
        self._pending: dict[str, Authorization] = {}
        self.routes = [
            Route("/services/oauth2/authorize", self.authorize, methods=["GET"]),
            Route("/services/oauth2/authorize", self.decide, methods=["POST"]),
            Route("/services/oauth2/token", self.token, methods=["POST"]),
            Route("/services/oauth2/revoke", self.revoke, methods=["GET", "POST"]),
            Route("/services/oauth2/userinfo", self.userinfo, methods=["GET", "POST"]),
            Route("/id/{organization_id}/{user_id}", self.userinfo, methods=["GET"]),
        ]

    async def authorize(self, request: Request) -> Response:
        """
        Show the consent page.

        :param request: The browser's request.
        """
        try:
            authorization = self.org.oauth.authorization(request.query_params)
        except OAuthError as error:
            return HTMLResponse(error_page(error.error, error.description), error.status)
        while len(self._pending) >= _MAX_PENDING:
            self._pending.pop(next(iter(self._pending)))
        ticket = secrets.token_urlsafe(24)
        self._pending[ticket] = authorization
        settings = self.org.settings
        page = consent_page(ticket, settings.username, settings.client_id, authorization.scope.split())
        return HTMLResponse(page, headers={"Cache-Control": "no-store", "X-Frame-Options": "DENY"})

    async def decide(self, request: Request) -> Response:
        """
        Send the browser back to the app with the user's answer.

        :param request: The consent page's form.
        """
        form = await _form(request)
        authorization = self._pending.pop(form.get("ticket", ""), None)
        if authorization is None:
            return HTMLResponse(error_page("invalid_request", "this consent page has been answered"), 400)
        if form.get("decision") == "allow":
            answer = {"code": self.org.oauth.allow(authorization)}
        else:
            answer = {"error": "access_denied", "error_description": "end-user denied authorization"}
        if authorization.state is not None:
            answer["state"] = authorization.state
        joint = "&" if "?" in authorization.redirect_uri else "?"
        return RedirectResponse(f"{authorization.redirect_uri}{joint}{urlencode(answer)}", 302)

    async def token(self, request: Request) -> Response:
        """
        Answer a token call.

        :param request: The client's form.
        """
        self.org.count_token_call()
        form = {**await _form(request), **_basic_credentials(request)}
        url = str(request.base_url).rstrip("/")
        try:
            reply = await run_in_threadpool(self.org.oauth.token, form, url)
        except OAuthError as error:
            return JSONResponse(error.body(), error.status, headers={"Cache-Control": "no-store"})
        return JSONResponse(reply, headers={"Cache-Control": "no-store"})

    async def revoke(self, request: Request) -> Response:
        """
        Revoke a token.

        :param request: The client's form or query.
        """
        token = request.query_params.get("token") or (await _form(request)).get("token", "")
        if not self.org.oauth.sessions.revoke(token):
            error = OAuthError("unsupported_token_type", "this token type is not supported")
            return JSONResponse(error.body(), 400)
        return Response(status_code=200)

    async def userinfo(self, request: Request) -> Response:
        """
        Say whose token it is.

        :param request: The client's request, with the token.
        """
        _, _, token = request.headers.get("authorization", "").partition(" ")
        if self.org.oauth.sessions.find(token) is None:
            return Response("Bad_OAuth_Token", 403, media_type="text/html")
        url = str(request.base_url).rstrip("/")
        oauth, username = self.org.oauth, self.org.settings.username
        return JSONResponse(
            {
                "sub": f"{url}/id/{oauth.organization_id}/{oauth.user_id}",
                "user_id": oauth.user_id,
                "organization_id": oauth.organization_id,
                "preferred_username": username,
                "nickname": username.split("@")[0],
                "name": "Integration User",
                "email": username,
                "email_verified": True,
                "user_type": "STANDARD",
                "active": True,
                "urls": {"rest": f"{url}/services/data/v{{version}}/"},
            }
        )


async def _form(request: Request) -> dict[str, str]:
    body = (await request.body()).decode("utf-8", "replace")
    return dict(parse_qsl(body, keep_blank_values=True))


def _basic_credentials(request: Request) -> dict[str, str]:
    """Return consumer key and secret from a Basic header, which may stand for the form's."""
    kind, _, encoded = request.headers.get("authorization", "").partition(" ")
    if kind.lower() != "basic":
        return {}
    try:
        client_id, _, secret = b64decode(encoded).decode().partition(":")
    except ValueError:
        return {}
    return {"client_id": unquote(client_id), "client_secret": unquote(secret)}
