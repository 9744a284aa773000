"""
The mark that a login carries to Salesforce and back (``state`` of OAuth 2.0, RFC 6749 section 10.12).

It is signed, so that the callback knows that this Airflow began the login, and readable: it holds no secret. Its key
comes from ``[api] secret_key``, which all replicas of the API server share and nobody else has; workers and DAG
authors, who know the consumer secret, do not. By HKDF it serves this purpose alone.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass

import jwt
from airflow.api_fastapi.auth.tokens import get_signing_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from airflow_provider_salesforce_export.key_collection.logins import LOGIN_SECONDS

_AUDIENCE = "airflow-provider-salesforce-export:login"
_SALT = b"airflow-provider-salesforce-export"
_INFO = b"plugin: state of a login"


class StateError(ValueError):
    """The state was not issued by this Airflow."""


@dataclass(frozen=True)
class State:
    """
    What a login carries.

    :param login_id: Good for one callback.
    :param conn_id: The Airflow connection.
    :param account_id: Under which account the key is kept.
    :param owner: Under which owner the key is kept.
    :param forward_url: Where the browser goes in the end; empty for nowhere.
    :param user: The Airflow user who began it.
    :param expires_at: In seconds since 1970.
    """

    login_id: str
    conn_id: str
    account_id: str
    owner: str
    forward_url: str
    user: str
    expires_at: int

    @property
    def is_expired(self) -> bool:
        """Return whether the login took too long."""
        return time.time() >= self.expires_at


def sign(*, login_id: str, conn_id: str, account_id: str, owner: str, forward_url: str, user: str) -> str:
    """
    Return a state as a JWT, good for an hour.

    All parameters are those of :class:`State`.
    """
    state = State(login_id, conn_id, account_id, owner, forward_url, user, int(time.time()) + LOGIN_SECONDS)
    claims = asdict(state)
    return jwt.encode(
        {"jti": claims.pop("login_id"), "exp": claims.pop("expires_at"), "aud": _AUDIENCE, **claims},
        _key(),
        algorithm="HS256",
    )


def verify(token: str) -> State:
    """
    Return the state that was signed here. An expired one comes back too, to say so where its browser came from.

    :param token: What the callback was called with.
    :raises StateError: It was not signed here.
    """
    required = ["jti", "exp", "conn_id", "account_id", "owner", "forward_url", "user"]
    try:
        claims = jwt.decode(
            token,
            _key(),
            algorithms=["HS256"],
            audience=_AUDIENCE,
            options={"require": required, "verify_exp": False},
        )
    except jwt.InvalidTokenError:
        raise StateError(
            "This is not the end of a login that was begun here. Begin it again. Where this happens each time, an "
            "Airflow admin checks that all API servers have the same [api] secret_key."
        ) from None
    texts = {name: str(claims[name]) for name in required[2:]}
    return State(login_id=str(claims["jti"]), expires_at=int(claims["exp"]), **texts)


def _key() -> bytes:
    secret = get_signing_key("api", "secret_key")
    return HKDF(SHA256(), length=32, salt=_SALT, info=_INFO).derive(secret.encode())
