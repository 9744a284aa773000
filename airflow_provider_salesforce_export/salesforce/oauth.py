"""
The OAuth token endpoint and the grants that this package can use there.

Rules from Salesforce Help: "OAuth 2.0 Refresh Token Flow for Renewed Sessions", "OAuth 2.0 Username-Password Flow
for Special Scenarios", "OAuth Error Codes".
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

import requests

from airflow_provider_salesforce_export.exceptions import (
    AuthenticationError,
    LoginRequiredError,
    SalesforceUnavailableError,
)
from airflow_provider_salesforce_export.salesforce.transport import PASSING_STATUSES, new_session, unreachable

log = logging.getLogger(__name__)

Token = dict[str, Any]
"""The reply of the token endpoint as Salesforce sent it: access_token, instance_url, issued_at, ..."""

_ADVICE = {
    "invalid_client_id": "The consumer key is wrong. Correct the login of the Airflow connection.",
    "invalid_client": "The consumer secret is wrong. Correct the password of the Airflow connection.",
    "unsupported_grant_type": "The org does not offer this grant. A Salesforce admin can enable it for the app.",
    "inactive_user": "The user is inactive. A Salesforce admin can activate it.",
    "inactive_org": "The org is locked, closed or suspended. Ask a Salesforce admin.",
    "rate_limit_exceeded": "Too many logins. Wait before the next one.",
}


class Grant(Protocol):
    """
    A way to obtain an access token.

    :cvar needs_key: Whether it works only where a login has stored a key before.
    """

    needs_key: ClassVar[bool]

    def form(self, key: Token | None) -> dict[str, str]:
        """
        Return the fields that this grant sends to the token endpoint, besides those of the app.

        :param key: The token that is stored now; None where there is none.
        :raises LoginRequiredError: The grant needs a stored token that is not there.
        """
        ...


@dataclass(frozen=True)
class RefreshTokenGrant:
    """Renew with the refresh token that a login has stored."""

    needs_key: ClassVar[bool] = True

    def form(self, key: Token | None) -> dict[str, str]:
        """
        Return the fields of the refresh token grant.

        :param key: The stored token.
        :raises LoginRequiredError: There is no stored token, or it has no refresh token.
        """
        if not key or not key.get("refresh_token"):
            raise LoginRequiredError("There is no refresh token for this account: log in to Salesforce again.")
        return {"grant_type": "refresh_token", "refresh_token": key["refresh_token"]}


@dataclass(frozen=True)
class PasswordGrant:
    """
    Log in with a user's name, password and security token.

    :param username: The user's name, which looks like an e-mail address.
    :param password: The user's password.
    :param security_token: The user's security token; empty where the org trusts this IP address.
    """

    username: str
    password: str = field(repr=False)
    security_token: str = field(default="", repr=False)

    needs_key: ClassVar[bool] = False

    def form(self, key: Token | None) -> dict[str, str]:
        """
        Return the fields of the password grant, which needs no stored token.

        :param key: Not used.
        """
        return {
            "grant_type": "password",
            "username": self.username,
            "password": self.password + self.security_token,
        }


@dataclass(frozen=True)
class TokenEndpoint:
    """
    The token endpoint of one login host, for one app.

    :param login_url: Such as ``https://login.salesforce.com``.
    :param client_id: The consumer key of the external client app.
    :param client_secret: The consumer secret.
    :param timeout: Seconds to wait for a connection, and again for the reply.
    :param proxies: As for requests.
    """

    login_url: str
    client_id: str
    client_secret: str = field(repr=False)
    timeout: float = 10.0
    proxies: dict[str, str] | None = field(default=None, repr=False)

    def fetch(self, grant: Grant, key: Token | None) -> Token:
        """
        Obtain a token. The call is never repeated here: a refresh token may be good for one use only.

        :param grant: How to obtain it.
        :param key: The token that is stored now; None where there is none.
        :returns: The reply. Where it brings no refresh token, the one that is stored now stays in it.
        :raises LoginRequiredError: The refresh token is expired or revoked.
        :raises AuthenticationError: The consumer key or secret is wrong, or the org does not allow the grant.
        :raises SalesforceUnavailableError: No reply, or one that is not from a token endpoint.
        """
        form = {"client_id": self.client_id, "client_secret": self.client_secret, **grant.form(key)}
        url = f"{self.login_url}/services/oauth2/token"
        with new_session(retries=0) as session:
            try:
                response = session.post(url, data=form, timeout=self.timeout, proxies=self.proxies)
            except requests.RequestException as error:
                raise unreachable(error, self.login_url) from None
        token = self._read(response)
        log.info("Salesforce issued a new access token (grant %s).", form["grant_type"])
        if key and "refresh_token" in key:
            token.setdefault("refresh_token", key["refresh_token"])
        return token

    def _read(self, response: requests.Response) -> Token:
        try:
            reply = response.json()
        except requests.JSONDecodeError:
            reply = None
        if not isinstance(reply, dict) or response.status_code in PASSING_STATUSES:
            raise SalesforceUnavailableError(
                f"{self.login_url} answered {response.status_code}, and not as a token endpoint does. Salesforce may "
                "be under maintenance, or the host is not a login host.",
                status_code=response.status_code,
            )
        if response.ok and "access_token" in reply and "instance_url" in reply:
            return dict(reply)
        raise self._refusal(reply, response.status_code)

    def _refusal(self, reply: dict[str, Any], status_code: int) -> AuthenticationError:
        error_code = str(reply.get("error", ""))
        said = f"{self.login_url} refused to issue a token: {error_code} ({reply.get('error_description', '')})."
        if error_code == "invalid_grant":
            return LoginRequiredError(
                f"{said} The refresh token is expired or revoked: log in to Salesforce again. With the password grant, "
                "correct user_password and security_token. If that fails too, the user may be frozen: ask a "
                "Salesforce admin.",
                error_code=error_code,
                status_code=status_code,
            )
        advice = _ADVICE.get(error_code, "Check the app's settings in Salesforce.")
        return AuthenticationError(f"{said} {advice}", error_code=error_code, status_code=status_code)
