"""The OAuth grants of an org: who gets a token for what."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import jwt

from airflow_provider_salesforce_export.sandbox.errors import OAuthError
from airflow_provider_salesforce_export.sandbox.sessions import Sessions

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_salesforce_export.sandbox.sessions import Grant
    from airflow_provider_salesforce_export.sandbox.settings import SandboxSettings

ALL_SCOPES = "api refresh_token"
APP_SCOPES = {"api", "refresh_token", "offline_access", "full", "id", "openid", "web"}
LOGIN_URLS = ("https://login.salesforce.com", "https://test.salesforce.com")
JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
MAX_ASSERTION_LIFE = 180
_CLOCK_SKEW = 30
_LOOPBACK = {"127.0.0.1", "localhost", "::1"}


@dataclass(frozen=True)
class Authorization:
    """
    What an app asks of a user on the consent page.

    :param redirect_uri: Where the answer goes.
    :param scope: What the app wants to do.
    :param state: The app's own mark, handed back.
    :param code_challenge: PKCE challenge, S256; None without PKCE.
    """

    redirect_uri: str
    scope: str
    state: str | None
    code_challenge: str | None


class OAuth:
    """
    Answers for the token endpoint, without HTTP.

    :param settings: Credentials and how tokens behave.
    :param organization_id: The org's Id.
    :param user_id: The Id of its API user.
    """

    def __init__(self, settings: SandboxSettings, organization_id: str, user_id: str) -> None:
        self.settings = settings
        self.organization_id = organization_id
        self.user_id = user_id
        self.sessions = Sessions(organization_id, settings.token_lifetime, settings.rotate_refresh_tokens)
        self._codes: dict[str, tuple[Authorization, float]] = {}
        self._lock = threading.Lock()

    def authorization(self, query: Mapping[str, str]) -> Authorization:
        """
        Check what an app asks for.

        :param query: Parameters of the authorize URL.
        :raises OAuthError: Unknown app, redirect URI or scope.
        """
        if query.get("client_id") != self.settings.client_id:
            raise OAuthError("invalid_client_id", "client identifier invalid")
        redirect_uri = query.get("redirect_uri", "")
        if not self._registered(redirect_uri):
            raise OAuthError("redirect_uri_mismatch", "redirect_uri must match configuration")
        if query.get("response_type") != "code":
            raise OAuthError("unsupported_response_type", "response type must be code")
        challenge = query.get("code_challenge") or None
        if challenge and query.get("code_challenge_method", "S256") != "S256":
            raise OAuthError("invalid_request", "code_challenge_method must be S256")
        scope = query.get("scope") or ALL_SCOPES
        if not APP_SCOPES.issuperset(scope.split()):
            raise OAuthError("invalid_scope", "the requested scope is not allowed")
        return Authorization(redirect_uri, scope, query.get("state"), challenge)

    def allow(self, authorization: Authorization) -> str:
        """
        Return the code for an authorization that the user has allowed.

        :param authorization: What was asked.
        """
        code = f"aPrx{secrets.token_urlsafe(48)}"
        with self._lock:
            self._codes[code] = (authorization, time.monotonic() + self.settings.code_lifetime)
        return code

    def token(self, form: Mapping[str, str], url: str) -> dict[str, str]:
        """
        Answer a call of the token endpoint.

        :param form: What was posted.
        :param url: The org's own URL.
        :raises OAuthError: It is refused.
        """
        grants = {
            "authorization_code": self._authorization_code,
            "refresh_token": self._refresh_token,
            "password": self._password,
            "client_credentials": self._client_credentials,
        }
        grant_type = form.get("grant_type", "")
        if grant_type == JWT_BEARER:
            return self._jwt_bearer(form, url)
        if grant_type not in grants:
            raise OAuthError("unsupported_grant_type", "grant type not supported")
        self._check_client(form)
        return grants[grant_type](form, url)

    def issue(self, url: str, scope: str = ALL_SCOPES) -> dict[str, str]:
        """
        Return a token reply as after a login in the browser.

        :param url: The org's own URL.
        :param scope: What the app may do; without ``refresh_token`` there is no refresh token, for ``full`` neither.
        """
        if not {"refresh_token", "offline_access"} & set(scope.split()):
            return self._reply(url, scope)
        grant = self.sessions.grant(scope)
        return {**self._reply(url, scope, grant), "refresh_token": grant.refresh_token}

    def _authorization_code(self, form: Mapping[str, str], url: str) -> dict[str, str]:
        with self._lock:
            authorization, ends = self._codes.pop(form.get("code", ""), (None, 0.0))
        if authorization is None:
            raise OAuthError("invalid_grant", "invalid authorization code")
        if time.monotonic() >= ends:
            raise OAuthError("invalid_grant", "expired authorization code")
        if form.get("redirect_uri") != authorization.redirect_uri:
            raise OAuthError("redirect_uri_mismatch", "redirect_uri must match configuration")
        if authorization.code_challenge and not _proves(form.get("code_verifier", ""), authorization.code_challenge):
            raise OAuthError("invalid_grant", "invalid code verifier")
        return self.issue(url, authorization.scope)

    def _refresh_token(self, form: Mapping[str, str], url: str) -> dict[str, str]:
        grant = self.sessions.refresh(form.get("refresh_token", ""))
        reply = self._reply(url, grant.scope, grant)
        if self.settings.rotate_refresh_tokens:
            reply["refresh_token"] = grant.refresh_token
        return reply

    def _password(self, form: Mapping[str, str], url: str) -> dict[str, str]:
        settings = self.settings
        known = _same(form.get("username", ""), settings.username)
        if not known or not _same(form.get("password", ""), settings.password + settings.security_token):
            raise OAuthError("invalid_grant", "authentication failure")
        return self._reply(url, "api")

    def _client_credentials(self, form: Mapping[str, str], url: str) -> dict[str, str]:
        return self._reply(url, "api")

    def _jwt_bearer(self, form: Mapping[str, str], url: str) -> dict[str, str]:
        claims = self._claims(form.get("assertion", ""))
        if claims.get("iss") != self.settings.client_id:
            raise OAuthError("invalid_client_id", "client identifier invalid")
        audience = str(claims.get("aud", "")).rstrip("/")
        if audience not in {*LOGIN_URLS, url} and not audience.startswith(f"{url}/services/oauth2/token"):
            raise OAuthError("invalid_grant", "audience is invalid")
        if not 0 <= claims["exp"] - time.time() + _CLOCK_SKEW <= MAX_ASSERTION_LIFE + 2 * _CLOCK_SKEW:
            raise OAuthError("invalid_grant", "assertion expired or expires too late")
        if claims.get("sub") != self.settings.username:
            raise OAuthError("invalid_grant", "user hasn't approved this consumer")
        return self._reply(url, "api")

    def _claims(self, assertion: str) -> dict[str, Any]:
        if self.settings.jwt_public_key is None:
            raise OAuthError("invalid_grant", "no certificate is configured for this app")
        options: Any = {"verify_aud": False, "verify_exp": False, "require": ["iss", "sub", "aud", "exp"]}
        try:
            claims = jwt.decode(assertion, self.settings.jwt_public_key, algorithms=["RS256"], options=options)
            return {**claims, "exp": float(claims["exp"])}
        except (jwt.InvalidTokenError, TypeError, ValueError):
            raise OAuthError("invalid_grant", "invalid assertion") from None

    def _check_client(self, form: Mapping[str, str]) -> None:
        if form.get("client_id") != self.settings.client_id:
            raise OAuthError("invalid_client_id", "client identifier invalid")
        if not _same(form.get("client_secret", ""), self.settings.client_secret):
            raise OAuthError("invalid_client", "invalid client credentials")

    def _registered(self, redirect_uri: str) -> bool:
        if self.settings.redirect_uris:
            return redirect_uri in self.settings.redirect_uris
        parts = urlsplit(redirect_uri)
        return parts.scheme in {"http", "https"} and parts.hostname in _LOOPBACK

    def _reply(self, url: str, scope: str, grant: Grant | None = None) -> dict[str, str]:
        identity = f"{url}/id/{self.organization_id}/{self.user_id}"
        issued_at = str(int(time.time() * 1000))
        signed = hmac.new(self.settings.client_secret.encode(), (identity + issued_at).encode(), hashlib.sha256)
        return {
            "access_token": self.sessions.open(scope, grant),
            "signature": base64.b64encode(signed.digest()).decode(),
            "scope": scope,
            "instance_url": url,
            "id": identity,
            "token_type": "Bearer",
            "issued_at": issued_at,
        }


def challenge(verifier: str) -> str:
    """
    Return the PKCE challenge (S256) of a verifier.

    :param verifier: The client's secret.
    """
    digest = hashlib.sha256(verifier.encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def _proves(verifier: str, expected: str) -> bool:
    return _same(challenge(verifier), expected.rstrip("="))


def _same(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode(), expected.encode())
