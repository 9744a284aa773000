"""
The OAuth grants: what each sends to the token endpoint.

Rules from Salesforce Help: "OAuth 2.0 Web Server Flow for Web App Integration", "OAuth 2.0 Refresh Token Flow for
Renewed Sessions", "OAuth 2.0 JWT Bearer Flow for Server-to-Server Integration", "OAuth 2.0 Client Credentials Flow for
Server-to-Server Integration", "OAuth 2.0 Username-Password Flow for Special Scenarios".
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from airflow_provider_salesforce_export.exceptions import LoginRequiredError
from airflow_provider_salesforce_export.salesforce.domains import jwt_audience

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

Token = dict[str, Any]
"""The reply of the token endpoint as Salesforce sent it: access_token, instance_url, issued_at, ..."""

GRANT_TYPES = ("refresh_token", "jwt_bearer", "client_credentials", "password")
"""As a connection names them."""

_JWT_LIFETIME = 120  # seconds; Salesforce accepts up to 180, which leaves a minute for a clock that is fast


@dataclass(frozen=True)
class App:
    """
    An external client app, at a login host.

    :param login_url: Such as ``https://login.salesforce.com``.
    :param client_id: Its consumer key.
    :param client_secret: Its consumer secret; empty where the grant needs none.
    """

    login_url: str
    client_id: str
    client_secret: str = field(default="", repr=False)

    def credentials(self) -> dict[str, str]:
        """Return the fields by which an app names itself to the token endpoint."""
        secret = {"client_secret": self.client_secret} if self.client_secret else {}
        return {"client_id": self.client_id, **secret}


class Grant(Protocol):
    """
    A way to obtain an access token.

    :cvar name: What it is called in connections and messages.
    :cvar needs_key: Whether it works only where a login has stored a key before.
    """

    name: ClassVar[str]
    needs_key: ClassVar[bool]

    def form(self, app: App, key: Token | None) -> dict[str, str]:
        """
        Return the fields that this grant sends to the token endpoint.

        :param app: Who asks.
        :param key: The token that is stored now; None where there is none.
        :raises LoginRequiredError: The grant needs a stored token that is not there.
        """
        ...


@dataclass(frozen=True)
class RefreshTokenGrant:
    """Renew with the refresh token that a login has stored."""

    name: ClassVar[str] = "refresh_token"
    needs_key: ClassVar[bool] = True

    def form(self, app: App, key: Token | None) -> dict[str, str]:
        """
        Return the fields of the refresh token grant.

        :param app: The app that the user has let in.
        :param key: The stored token.
        :raises LoginRequiredError: There is no stored token, or it has no refresh token.
        """
        if not key or not key.get("refresh_token"):
            raise LoginRequiredError("There is no refresh token for this account: log in to Salesforce again.")
        return {"grant_type": "refresh_token", "refresh_token": key["refresh_token"], **app.credentials()}


@dataclass(frozen=True)
class AuthorizationCodeGrant:
    """
    Exchange the code that a login in the browser brought back: good once, for some minutes.

    :param code: The code.
    :param code_verifier: The secret behind the challenge of the authorization URL.
    :param redirect_uri: The same as in the authorization URL.
    """

    code: str = field(repr=False)
    code_verifier: str = field(repr=False)
    redirect_uri: str

    name: ClassVar[str] = "authorization_code"
    needs_key: ClassVar[bool] = False

    def form(self, app: App, key: Token | None) -> dict[str, str]:
        """
        Return the fields of the authorization code grant.

        :param app: The app that the user has let in.
        :param key: Not used.
        """
        return {
            "grant_type": "authorization_code",
            "code": self.code,
            "code_verifier": self.code_verifier,
            "redirect_uri": self.redirect_uri,
            **app.credentials(),
        }


@dataclass(frozen=True)
class JwtBearerGrant:
    """
    Sign an assertion with the private key whose certificate the app has; no secret travels.

    :param username: The user to act as, who must have been approved for the app.
    :param private_key: The key.
    """

    username: str
    private_key: RSAPrivateKey = field(repr=False)

    name: ClassVar[str] = "jwt_bearer"
    needs_key: ClassVar[bool] = False

    def form(self, app: App, key: Token | None) -> dict[str, str]:
        """
        Return the fields of the JWT bearer grant.

        :param app: The app that has the certificate.
        :param key: Not used.
        """
        import jwt

        claims = {
            "iss": app.client_id,
            "sub": self.username,
            "aud": jwt_audience(app.login_url),
            "exp": int(time.time()) + _JWT_LIFETIME,
        }
        return {
            "grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer",
            "assertion": jwt.encode(claims, self.private_key, algorithm="RS256"),
        }


@dataclass(frozen=True)
class ClientCredentialsGrant:
    """Log in as the app, which runs as the user that a Salesforce admin chose for it. For My Domain hosts alone."""

    name: ClassVar[str] = "client_credentials"
    needs_key: ClassVar[bool] = False

    def form(self, app: App, key: Token | None) -> dict[str, str]:
        """
        Return the fields of the client credentials grant.

        :param app: The app.
        :param key: Not used.
        """
        return {"grant_type": "client_credentials", **app.credentials()}


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

    name: ClassVar[str] = "password"
    needs_key: ClassVar[bool] = False

    def form(self, app: App, key: Token | None) -> dict[str, str]:
        """
        Return the fields of the password grant.

        :param app: The app.
        :param key: Not used.
        """
        return {
            "grant_type": "password",
            "username": self.username,
            "password": self.password + self.security_token,
            **app.credentials(),
        }
