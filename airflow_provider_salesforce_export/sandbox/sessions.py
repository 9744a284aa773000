"""The tokens that an org has given out: access tokens, and the grants that refresh tokens stand for."""

from __future__ import annotations

import secrets
import threading
import time
from dataclasses import dataclass, field

from airflow_provider_salesforce_export.sandbox.errors import OAuthError

MAX_GRANTS = 5


@dataclass(eq=False)
class Grant:
    """
    A user's permission for the app, for which a refresh token stands.

    :param scope: What the app may do.
    :param refresh_token: The token that works now.
    """

    scope: str
    refresh_token: str = ""


@dataclass(eq=False)
class Session:
    """
    What an access token stands for.

    :param scope: What the app may do.
    :param ends: When it expires, on the monotonic clock; None for never.
    :param grant: The grant that it came from, if any.
    """

    scope: str
    ends: float | None = None
    grant: Grant | None = field(default=None, repr=False)


class Sessions:
    """
    Keeps tokens, safe to use from several threads.

    :param organization_id: The org's Id: access tokens start with it.
    :param lifetime: Seconds that an access token lives; None for ever.
    :param rotate: Whether a refresh gives a new refresh token and kills the old one.
    """

    def __init__(self, organization_id: str, lifetime: float | None, rotate: bool) -> None:
        self._organization_id = organization_id
        self._lifetime = lifetime
        self._rotate = rotate
        self._sessions: dict[str, Session] = {}
        self._grants: list[Grant] = []
        self._dead: dict[str, Grant] = {}
        self._calls_left: int | None = None
        self._lock = threading.RLock()

    def open(self, scope: str, grant: Grant | None = None) -> str:
        """
        Return a new access token.

        :param scope: What the app may do.
        :param grant: The grant that it comes from.
        """
        token = f"{self._organization_id[:15]}!{secrets.token_urlsafe(60)}"
        ends = None if self._lifetime is None else time.monotonic() + self._lifetime
        with self._lock:
            self._sessions[token] = Session(scope, ends, grant)
        return token

    def grant(self, scope: str) -> Grant:
        """
        Return a new grant with a refresh token. A user and app have few: the oldest one goes.

        :param scope: What the app may do.
        """
        grant = Grant(scope, _refresh_token())
        with self._lock:
            self._grants.append(grant)
            while len(self._grants) > MAX_GRANTS:
                self.revoke_grant(self._grants[0])
        return grant

    def refresh(self, refresh_token: str) -> Grant:
        """
        Return the grant of a refresh token, under rotation with a new token already.

        :param refresh_token: The client's token.
        :raises OAuthError: It is unknown or dead (invalid_grant). Using one that rotation has killed revokes the grant.
        """
        with self._lock:
            for grant in self._grants:
                if grant.refresh_token == refresh_token:
                    if self._rotate:
                        self._dead[refresh_token] = grant
                        grant.refresh_token = _refresh_token()
                    return grant
            if refresh_token in self._dead:
                self.revoke_grant(self._dead[refresh_token])
        raise OAuthError("invalid_grant", "expired access/refresh token")

    def use(self, access_token: str) -> Session | None:
        """
        Return the session of an access token for one data call, or None when it has expired.

        :param access_token: The client's token.
        """
        with self._lock:
            if self._calls_left is not None:
                self._calls_left -= 1
                if self._calls_left < 0:
                    self.expire()
            return self.find(access_token)

    def find(self, access_token: str) -> Session | None:
        """
        Return the session of an access token, or None when it has expired.

        :param access_token: The client's token.
        """
        with self._lock:
            session = self._sessions.get(access_token)
            if session and session.ends is not None and time.monotonic() >= session.ends:
                del self._sessions[access_token]
                return None
            return session

    def expire(self) -> None:
        """End all sessions; refresh tokens live on."""
        with self._lock:
            self._sessions.clear()
            self._calls_left = None

    def expire_after(self, calls: int) -> None:
        """
        End all sessions once, after some more data calls.

        :param calls: How many calls still succeed.
        """
        with self._lock:
            self._calls_left = calls

    def revoke(self, token: str) -> bool:
        """
        Revoke a token, a refresh token with all of its sessions, and return whether it was known.

        :param token: An access token or a refresh token.
        """
        with self._lock:
            if self._sessions.pop(token, None):
                return True
            for grant in self._grants:
                if grant.refresh_token == token:
                    self.revoke_grant(grant)
                    return True
        return False

    def revoke_grant(self, grant: Grant) -> None:
        """
        Revoke a grant with its refresh token and all of its sessions.

        :param grant: The grant.
        """
        with self._lock:
            if grant in self._grants:
                self._grants.remove(grant)
            ended = [token for token, session in self._sessions.items() if session.grant is grant]
            for token in ended:
                del self._sessions[token]

    def revoke_all(self) -> None:
        """Revoke every grant and end every session, as when an administrator blocks the app."""
        with self._lock:
            self._grants.clear()
            self._sessions.clear()


def _refresh_token() -> str:
    return f"5Aep{secrets.token_urlsafe(60)}"
