"""
The OAuth endpoints of a login host: authorize (with PKCE), token, revoke.

Rules from Salesforce Help: "OAuth 2.0 Web Server Flow for Web App Integration", "Revoke OAuth Tokens"; and RFC 7636.
"""

from __future__ import annotations

import base64
import hashlib
import logging
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

import requests

from airflow_provider_salesforce_export.exceptions import (
    AuthenticationError,
    ConfigurationError,
    SalesforceUnavailableError,
)
from airflow_provider_salesforce_export.salesforce.domains import checked_instance_url
from airflow_provider_salesforce_export.salesforce.grants import App
from airflow_provider_salesforce_export.salesforce.refusals import cleaned, refusal
from airflow_provider_salesforce_export.salesforce.transport import PASSING_STATUSES, new_session, unreachable

if TYPE_CHECKING:
    from airflow_provider_salesforce_export.salesforce.grants import Grant, Token

log = logging.getLogger(__name__)

AUTHORIZE_PATH = "/services/oauth2/authorize"
TOKEN_PATH = "/services/oauth2/token"
REVOKE_PATH = "/services/oauth2/revoke"

_NOT_SECRET = {"grant_type", "client_id", "username", "redirect_uri"}
_FOR_REFRESH = {"refresh_token", "offline_access"}


def new_code_verifier() -> str:
    """Return a fresh secret for one login in the browser, which stays here until the code is exchanged."""
    return secrets.token_urlsafe(64)


def authorize_url(
    login_url: str, client_id: str, *, redirect_uri: str, scopes: Sequence[str], state: str, code_verifier: str
) -> str:
    """
    Return the address at which a user logs in and lets the app in.

    :param login_url: The login host.
    :param client_id: The consumer key.
    :param redirect_uri: Where the answer goes: a callback URL of the app.
    :param scopes: What the app may do; ``refresh_token`` or ``offline_access`` among them.
    :param state: The caller's own mark, which comes back with the answer and must be compared.
    :param code_verifier: The secret whose SHA-256 is sent along (PKCE, S256).
    :raises ConfigurationError: The scopes would give no refresh token, and the login would end with its session.
    """
    if not _FOR_REFRESH & set(scopes):
        raise ConfigurationError(
            f"The scopes {' '.join(scopes)!r} give no refresh token: add refresh_token to scopes of the Airflow "
            "connection, and to those of the app in Salesforce."
        )
    digest = hashlib.sha256(code_verifier.encode("ascii")).digest()
    query = {
        "response_type": "code",
        "client_id": client_id,
        "redirect_uri": redirect_uri,
        "scope": " ".join(scopes),
        "state": state,
        "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode("ascii"),
        "code_challenge_method": "S256",
    }
    return f"{login_url}{AUTHORIZE_PATH}?{urlencode(query, quote_via=quote)}"


@dataclass(frozen=True)
class TokenEndpoint(App):
    """
    The token endpoint of one login host, for one app.

    :param timeout: Seconds to wait for a connection, and again for the reply.
    :param proxies: As for requests.
    """

    timeout: float = 10.0
    proxies: dict[str, str] | None = field(default=None, repr=False)

    def fetch(self, grant: Grant, key: Token | None) -> Token:
        """
        Obtain a token. The call is never repeated here: a refresh token may be good for one use only.

        :param grant: How to obtain it.
        :param key: The token that is stored now; None where there is none.
        :returns: The reply. Where it brings no refresh token, the one that is stored now stays in it.
        :raises LoginRequiredError: The refresh token is expired or revoked.
        :raises ForeignInstanceError: The reply names an instance that is not Salesforce's.
        :raises AuthenticationError: A field of the connection is wrong, or the org does not allow the grant.
        :raises RequestLimitError: Too many logins.
        :raises SalesforceUnavailableError: No reply, or one that is not from a token endpoint.
        """
        form = grant.form(self, key)
        response = self._post(TOKEN_PATH, form)
        reply = self._read(response)
        if "error" in reply:
            raise refusal(reply, response.status_code, self.login_url, grant.name, _secrets_of(form))
        token = {**reply, "instance_url": checked_instance_url(reply["instance_url"], self.login_url)}
        log.info("%s issued a new access token (grant %s).", self.login_url, grant.name)
        if key and "refresh_token" in key:
            token.setdefault("refresh_token", key["refresh_token"])
        return token

    def revoke(self, token: Token) -> bool:
        """
        Revoke a token, the refresh token with all of its sessions where there is one.

        :param token: The token as it is stored.
        :returns: Whether Salesforce still knew it.
        :raises AuthenticationError: Salesforce refused for another reason than that.
        :raises SalesforceUnavailableError: No reply, or one that is not from Salesforce.
        """
        form = {"token": token.get("refresh_token") or token["access_token"]}
        response = self._post(REVOKE_PATH, form)
        if response.ok:
            log.info("%s revoked the token.", self.login_url)
            return True
        reply = self._read(response)
        if reply.get("error") in ("unsupported_token_type", "invalid_token"):
            return False
        raise AuthenticationError(
            f"{self.login_url} refused to revoke the token: {cleaned(reply.get('error'), _secrets_of(form))}. "
            "A Salesforce admin can revoke it, in the list of the app's users.",
            status_code=response.status_code,
        )

    def _post(self, path: str, form: dict[str, str]) -> requests.Response:
        with new_session(retries=0) as session:
            try:
                return session.post(
                    self.login_url + path,
                    data=form,
                    timeout=self.timeout,
                    proxies=self.proxies,
                    allow_redirects=False,  # the form holds secrets, and is for this host alone
                )
            except requests.RequestException as error:
                raise unreachable(error, self.login_url) from None

    def _read(self, response: requests.Response) -> dict[str, Any]:
        try:
            reply = response.json()
        except requests.JSONDecodeError:
            reply = None
        if isinstance(reply, dict) and response.status_code not in PASSING_STATUSES:
            has_token = response.ok and reply.get("access_token") and reply.get("instance_url")
            if has_token or "error" in reply:
                return reply
        elsewhere = cleaned(response.headers.get("Location", "").partition("?")[0])
        raise SalesforceUnavailableError(
            f"{self.login_url} answered {response.status_code}, and not as a token endpoint does"
            f"{f' (it points to {elsewhere})' if elsewhere else ''}. Salesforce may be under maintenance, or the host "
            "of the connection is not a login host.",
            status_code=response.status_code,
        )


def _secrets_of(form: dict[str, str]) -> list[str]:
    return [value for name, value in form.items() if name not in _NOT_SECRET]
