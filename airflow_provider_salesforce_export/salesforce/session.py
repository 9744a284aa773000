"""A session with an org: the access token on each request, and another one after a 401."""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol
from urllib.parse import urlsplit

import requests
from requests.auth import AuthBase

from airflow_provider_salesforce_export.exceptions import LoginChangedError, SessionRejectedError

if TYPE_CHECKING:
    from airflow_provider_salesforce_export.salesforce.grants import Token
    from airflow_provider_salesforce_export.salesforce.meter import Meter

log = logging.getLogger(__name__)

_IDENTITY_URL = re.compile(r"/id/(\w{15})(?:\w{3})?/(\w{15})(?:\w{3})?$")
"""Salesforce Help: "Identity URLs"; every grant's reply has one as ``id``."""


def identity_of(token: Token) -> str | None:
    """
    Return whose a token is: the Id of the org and that of the user, both in their 15-character form.

    :param token: The token.
    :returns: ``00D.../005...``; None where the token does not say, because another program has stored it.
    """
    found = _IDENTITY_URL.search(str(token.get("id")))
    return "/".join(found.groups()) if found else None


def is_other(identity: str | None, expected: str | None) -> bool:
    """
    Return whether two identities are known and differ.

    :param identity: As :func:`identity_of` returns it.
    :param expected: Another.
    """
    return None not in (identity, expected) and identity != expected


class Renewal(NamedTuple):
    """
    What became of a token that was refused.

    :param token: The token to use instead.
    :param is_new: Salesforce issued it just now; else it was stored, and may itself have expired since.
    """

    token: Token
    is_new: bool


class TokenSource(Protocol):
    """Where a client gets its token, and a new one when the org refuses it."""

    def current(self) -> Token:
        """Return the token to use."""
        ...

    def renew(self, rejected: Token) -> Renewal:
        """
        Return a token other than the one that was refused.

        :param rejected: The token with which the org answered 401.
        """
        ...


class SessionAuth(AuthBase):
    """
    Put the access token on each request; after a 401 renew it and repeat the request.

    :param tokens: Where the token comes from.
    :param meter: Is told of each 401.
    :ivar identity: Whose tokens are used, and no others', as :func:`identity_of` says it; None for anybody's.
    """

    def __init__(self, tokens: TokenSource, meter: Meter) -> None:
        self._tokens = tokens
        self._meter = meter
        self.identity: str | None = None

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Put the current token on a request, as requests asks each ``auth`` to."""
        token = self._tokens.current()
        self._authorize(request, token)

        def renew_and_repeat(response: requests.Response, **options: Any) -> requests.Response:
            return self._renew_and_repeat(response, token, **options)

        request.hooks["response"].append(renew_and_repeat)
        return request

    def _authorize(self, request: requests.PreparedRequest, token: Token) -> None:
        identity = identity_of(token)
        if is_other(identity, self.identity):
            raise LoginChangedError(
                f"The login changed during this export: it began as {_in_words(self.identity)}, and the Salesforce key "
                f"is now of {_in_words(identity)}. Nothing was read as the latter, because the rows of two logins do "
                "not belong together. Whoever runs the DAG: clear the task that counts, to export anew with the "
                "present login; or log in as before, and clear the tasks that failed."
            )
        request.headers["Authorization"] = f"Bearer {token['access_token']}"

    def _renew_and_repeat(self, response: requests.Response, rejected: Token, **options: Any) -> requests.Response:
        while response.status_code == requests.codes.unauthorized:
            log.info("Salesforce answered 401: renewing the access token.")
            self._meter.count("unauthorized")
            _ = response.content  # reads the body to its end, which gives the connection back even if renewing fails
            rejected, is_new = self._tokens.renew(rejected)
            response = self._repeat(response, rejected, **options)
            if is_new:
                break
        if response.status_code == requests.codes.unauthorized:
            raise SessionRejectedError(
                "Salesforce refuses an access token that was issued a moment ago. Likely causes: the session is "
                "locked to another IP address, the user is frozen, or API access was removed. Ask a Salesforce admin.",
                error_code="INVALID_SESSION_ID",
                status_code=response.status_code,
            )
        return response

    def _repeat(self, response: requests.Response, token: Token, **options: Any) -> requests.Response:
        response.close()
        request = response.request.copy()
        request.url = _on_instance(request.url, token)
        self._authorize(request, token)
        again = response.connection.send(request, **options)
        again.history = [*response.history, response]
        again.request = request
        return again


def _in_words(identity: str | None) -> str:
    org, _, user = str(identity).partition("/")
    return f"user {user} of org {org}"


def _on_instance(url: str | None, token: Token) -> str:
    """Return the same address on the instance that the token names: an org may have moved."""
    instance = urlsplit(token["instance_url"])
    return urlsplit(str(url))._replace(scheme=instance.scheme, netloc=instance.netloc).geturl()
