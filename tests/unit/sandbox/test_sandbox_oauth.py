from __future__ import annotations

import time
from functools import lru_cache
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from airflow_provider_salesforce_export.sandbox.errors import OAuthError
from airflow_provider_salesforce_export.sandbox.oauth import JWT_BEARER, OAuth, challenge
from airflow_provider_salesforce_export.sandbox.settings import SandboxSettings

URL = "http://127.0.0.1:8085"
CALLBACK = "http://localhost:8080/callback"
CLIENT = {"client_id": "sandbox-client-id", "client_secret": "sandbox-client-secret"}


def oauth(**settings: Any) -> OAuth:
    return OAuth(SandboxSettings(**settings), "00DTn0000A00001MAA", "005Tn0000A00000IAA")


def refused(org: OAuth, form: dict[str, str]) -> tuple[str, str]:
    with pytest.raises(OAuthError) as caught:
        org.token(form, URL)
    return caught.value.error, caught.value.description


def code(org: OAuth, **query: str) -> str:
    asked = {"client_id": CLIENT["client_id"], "redirect_uri": CALLBACK, "response_type": "code", **query}
    return org.allow(org.authorization(asked))


def refresh_form(token: str) -> dict[str, str]:
    return {"grant_type": "refresh_token", "refresh_token": token, **CLIENT}


def code_form(code: str, **more: str) -> dict[str, str]:
    return {"grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK, **CLIENT, **more}


def test_token_reply_has_salesforces_fields() -> None:
    reply = oauth().issue(URL)
    assert reply["access_token"].startswith("00DTn0000A00001!")
    assert reply["refresh_token"].startswith("5Aep")
    assert reply["token_type"] == "Bearer"
    assert reply["instance_url"] == URL
    assert abs(int(reply["issued_at"]) / 1000 - time.time()) < 60
    assert {"signature", "scope", "id"} <= set(reply)


def test_code_is_good_once() -> None:
    org = oauth()
    form = code_form(code(org))
    assert org.sessions.find(org.token(form, URL)["access_token"])
    assert refused(org, form)[0] == "invalid_grant"


def test_code_expires() -> None:
    org = oauth(code_lifetime=0.0)
    assert refused(org, code_form(code(org))) == ("invalid_grant", "expired authorization code")


def test_pkce_verifier_must_match() -> None:
    org = oauth()
    asked = {"code_challenge": challenge("right"), "code_challenge_method": "S256"}
    assert refused(org, code_form(code(org, **asked), code_verifier="wrong")) == (
        "invalid_grant",
        "invalid code verifier",
    )
    assert refused(org, code_form(code(org, **asked)))[0] == "invalid_grant"
    assert org.token(code_form(code(org, **asked), code_verifier="right"), URL)["refresh_token"]


def test_redirect_uri_must_be_the_one_asked_with() -> None:
    org = oauth()
    form = code_form(code(org), redirect_uri="http://localhost:8080/other")
    assert refused(org, form)[0] == "redirect_uri_mismatch"


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"client_id": "other"}, "invalid_client_id"),
        ({"redirect_uri": "https://evil.example/callback"}, "redirect_uri_mismatch"),
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"code_challenge": "x", "code_challenge_method": "plain"}, "invalid_request"),
        ({"scope": "api everything"}, "invalid_scope"),
    ],
)
def test_authorize_refuses(changed: dict[str, str], error: str) -> None:
    with pytest.raises(OAuthError) as caught:
        code(oauth(), **changed)
    assert caught.value.error == error


def test_registered_redirect_uris_match_exactly() -> None:
    org = oauth(redirect_uris=("https://airflow.example/callback",))
    assert code(org, redirect_uri="https://airflow.example/callback")
    with pytest.raises(OAuthError, match="redirect_uri_mismatch"):
        code(org, redirect_uri="https://airflow.example/callback/")


@pytest.mark.parametrize("scope", ["api", "full"])
def test_scope_without_refresh_token_gives_none(scope: str) -> None:
    org = oauth()
    assert "refresh_token" not in org.token(code_form(code(org, scope=scope)), URL)


def test_refresh_without_rotation_keeps_the_token() -> None:
    org = oauth()
    first = org.issue(URL)
    reply = org.token(refresh_form(first["refresh_token"]), URL)
    assert "refresh_token" not in reply
    assert reply["access_token"] != first["access_token"]
    assert org.token(refresh_form(first["refresh_token"]), URL)


def test_reuse_of_a_rotated_token_revokes_everything() -> None:
    org = oauth(rotate_refresh_tokens=True)
    first = org.issue(URL)
    second = org.token(refresh_form(first["refresh_token"]), URL)
    assert second["refresh_token"] != first["refresh_token"]
    assert refused(org, refresh_form(first["refresh_token"])) == ("invalid_grant", "expired access/refresh token")
    assert refused(org, refresh_form(second["refresh_token"]))[0] == "invalid_grant"
    assert org.sessions.find(second["access_token"]) is None


def test_the_sixth_login_evicts_the_first() -> None:
    org = oauth()
    logins = [org.issue(URL) for _ in range(6)]
    assert refused(org, refresh_form(logins[0]["refresh_token"]))[0] == "invalid_grant"
    assert org.token(refresh_form(logins[1]["refresh_token"]), URL)


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"client_id": "other"}, ("invalid_client_id", "client identifier invalid")),
        ({"client_secret": "other"}, ("invalid_client", "invalid client credentials")),
        ({"grant_type": "magic"}, ("unsupported_grant_type", "grant type not supported")),
        ({"refresh_token": "5Aepunknown"}, ("invalid_grant", "expired access/refresh token")),
    ],
)
def test_token_endpoint_refuses(changed: dict[str, str], error: tuple[str, str]) -> None:
    org = oauth()
    assert refused(org, {**refresh_form(org.issue(URL)["refresh_token"]), **changed}) == error


def test_password_and_security_token_are_joined() -> None:
    org = oauth(password="pä#s+w&rd", security_token="TOKEN")
    form = {"grant_type": "password", "username": "integration@sandbox.example", **CLIENT}
    assert "refresh_token" not in org.token({**form, "password": "pä#s+w&rdTOKEN"}, URL)
    assert refused(org, {**form, "password": "pä#s+w&rd"}) == ("invalid_grant", "authentication failure")
    assert refused(org, {**form, "password": "pä#s+w&rdTOKEN", "username": "x"})[0] == "invalid_grant"


def test_client_credentials_need_the_secret() -> None:
    org = oauth()
    assert "refresh_token" not in org.token({"grant_type": "client_credentials", **CLIENT}, URL)
    form = {"grant_type": "client_credentials", **CLIENT, "client_secret": "x"}
    assert refused(org, form)[0] == "invalid_client"


@lru_cache(maxsize=1)
def keys() -> tuple[str, str]:
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return pem.decode(), public.decode()


def assertion(**claims: Any) -> dict[str, str]:
    whole = {
        "iss": CLIENT["client_id"],
        "sub": "integration@sandbox.example",
        "aud": "https://login.salesforce.com",
        "exp": int(time.time()) + 170,
        **claims,
    }
    return {"grant_type": JWT_BEARER, "assertion": jwt.encode(whole, keys()[0], algorithm="RS256")}


@pytest.mark.parametrize("audience", ["https://login.salesforce.com", "https://test.salesforce.com", URL])
def test_jwt_bearer_gives_no_refresh_token(audience: str) -> None:
    reply = oauth(jwt_public_key=keys()[1]).token(assertion(aud=audience), URL)
    assert "refresh_token" not in reply


@pytest.mark.parametrize(
    ("claims", "error"),
    [
        ({"iss": "other"}, ("invalid_client_id", "client identifier invalid")),
        ({"sub": "other"}, ("invalid_grant", "user hasn't approved this consumer")),
        ({"aud": "https://evil.example"}, ("invalid_grant", "audience is invalid")),
    ],
)
def test_jwt_bearer_refuses(claims: dict[str, Any], error: tuple[str, str]) -> None:
    assert refused(oauth(jwt_public_key=keys()[1]), assertion(**claims)) == error


@pytest.mark.parametrize("seconds", [-600, 3600])
def test_jwt_bearer_refuses_an_assertion_that_expired_or_expires_too_late(seconds: int) -> None:
    form = assertion(exp=int(time.time()) + seconds)
    error = ("invalid_grant", "assertion expired or expires too late")
    assert refused(oauth(jwt_public_key=keys()[1]), form) == error


def test_jwt_bearer_checks_the_signature() -> None:
    form = assertion()
    form["assertion"] = form["assertion"][:-8] + "AAAAAAAA"
    assert refused(oauth(jwt_public_key=keys()[1]), form) == ("invalid_grant", "invalid assertion")


def test_tokens_live_as_long_as_set() -> None:
    org = oauth(token_lifetime=0.0)
    assert org.sessions.find(org.issue(URL)["access_token"]) is None


def test_sessions_end_once_after_some_calls() -> None:
    org = oauth()
    org.sessions.expire_after(2)
    token = org.issue(URL)["access_token"]
    assert [bool(org.sessions.use(token)) for _ in range(3)] == [True, True, False]
    assert org.sessions.use(org.issue(URL)["access_token"])
