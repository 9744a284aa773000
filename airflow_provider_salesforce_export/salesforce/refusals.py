"""
What the refusals of the token endpoint mean, and who mends them.

Codes from Salesforce Help: "OAuth 2.0 Authorization Errors", and the descriptions that each flow's page names.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from html import unescape
from typing import Any

from airflow_provider_salesforce_export.exceptions import (
    AuthenticationError,
    LoginRequiredError,
    RequestLimitError,
    SalesforceError,
)

_MAX_SHOWN = 200  # characters of what Salesforce says: enough for each of its descriptions

_TOO_MANY = ("rate_limit_exceeded", "login rate exceeded")
_APPROVAL = (
    "A Salesforce admin lets the user into the app (its policies: permitted users, permission sets or profiles); an "
    "Airflow admin checks that username is the user's name in this very org."
)
_ADVICE = (
    (
        ("ip restricted",),
        "This machine's IP address is not allowed. A Salesforce admin adds it to the login IP ranges of the user's "
        "profile, or relaxes the IP restrictions of the app.",
    ),
    (
        ("login hours", "restricted time"),
        "The user's profile allows no login at this hour. A Salesforce admin can change that.",
    ),
    (("inactive_org", "inactive org"), "The org is locked, closed or suspended. Ask a Salesforce admin."),
    (("inactive_user", "inactive user"), "The user is inactive or frozen. A Salesforce admin can activate it."),
    (_TOO_MANY, "Too many logins. Wait before the next one."),
    (("not installed",), "A Salesforce admin installs the app in this org, or the host is that of another org."),
    (("admin approved", "approved this consumer"), _APPROVAL),
    (
        ("no client credentials user",),
        "A Salesforce admin chooses the user to run as, in the app's policies.",
    ),
    (
        ("not supported on this domain",),
        "This grant works at the org's own login host alone: write your My Domain name, such as 'acme', as the host.",
    ),
    (
        ("invalid_client_id",),
        "The consumer key is wrong, or is that of another org's app: a sandbox has its own. Correct the login of the "
        "Airflow connection, or its consumer_key. A new app takes some minutes until it is known.",
    ),
    (
        ("invalid_client",),
        "The consumer secret is wrong. Correct the password of the Airflow connection, or its consumer_secret.",
    ),
    (
        ("audience",),
        "The login host is not that of the user's org: write 'login' for production, 'test' for a sandbox, or your My "
        "Domain name.",
    ),
    (
        ("assertion expired", "expired assertion"),
        "The assertion is good for minutes: the clock of this machine is wrong.",
    ),
    (
        ("invalid assertion",),
        "private_key does not belong to the certificate of the app, or the app has none: compare them. A Salesforce "
        "admin uploads the certificate.",
    ),
    (("redirect_uri",), "redirect_uri must be, to the letter, a callback URL of the app."),
    (
        ("code verifier", "authorization code"),
        "A code is good once, for some minutes, and for the login that was begun here: log in to Salesforce again.",
    ),
    (
        ("unsupported_grant_type",),
        "The org does not offer this grant: a Salesforce admin can enable it for the app. Or the host is not a login "
        "host.",
    ),
)
"""By parts of what Salesforce says; the first that is found counts."""

_ADVICE_OF_GRANT = {
    "refresh_token": "The refresh token is expired or revoked: log in to Salesforce again. If that fails too, the user "
    "may be frozen: ask a Salesforce admin.",
    "authorization_code": "Log in to Salesforce again.",
    "password": "username, user_password or security_token is wrong (a new password brings a new security token), or "
    "the org blocks this grant: a Salesforce admin sees which in the user's login history.",
    "jwt_bearer": f"Check username and private_key. {_APPROVAL}",
    "client_credentials": "A Salesforce admin enables the client credentials flow for the app, and chooses its user.",
}
"""What to do about ``invalid_grant`` where Salesforce says no more."""

_SPARES_THE_KEY = ("ip restricted", "login hours", "restricted time", "inactive user", "inactive org")
"""Refusals that leave a refresh token alive: once they are mended, it works again."""


def refusal(
    reply: dict[str, Any], status_code: int, login_url: str, grant_name: str, secrets: Collection[str]
) -> SalesforceError:
    """
    Return the error that a refusal of the token endpoint amounts to.

    :param reply: ``{"error": ..., "error_description": ...}``.
    :param status_code: The HTTP status.
    :param login_url: Who refused.
    :param grant_name: Which grant.
    :param secrets: What was sent, and must not be shown should the reply repeat it.
    """
    error_code, description = reply.get("error"), reply.get("error_description")
    said = f"{error_code}: {description}".lower()
    advice = next((advice for parts, advice in _ADVICE if any(part in said for part in parts)), None)
    if advice is None and error_code == "invalid_grant":
        advice = _ADVICE_OF_GRANT[grant_name]
    shown = [part for part in (cleaned(error_code, secrets), cleaned(description, secrets)) if part]
    return _kind(said, grant_name)(
        f"{login_url} refused to issue a token (grant {grant_name}): {', '.join(shown) or 'without a reason'}. "
        f"{advice or 'Check the settings of the app in Salesforce.'}",
        error_code=cleaned(error_code, secrets),
        status_code=status_code,
    )


def cleaned(text: object, secrets: Collection[str] = ()) -> str:
    """
    Return foreign text as it can be shown: one short line, without markup and without secrets.

    :param text: The text, or nothing.
    :param secrets: What must not be shown.
    """
    shown = str(text or "")
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        shown = shown.replace(secret, "***")
    shown = " ".join(unescape(re.sub(r"<[^>]*>", " ", shown)).split())
    shown = "".join(character for character in shown if character.isprintable())
    return shown if len(shown) <= _MAX_SHOWN else f"{shown[:_MAX_SHOWN]}..."


def _kind(said: str, grant_name: str) -> type[SalesforceError]:
    if any(part in said for part in _TOO_MANY):
        return RequestLimitError
    by_a_user = grant_name in ("refresh_token", "authorization_code")
    if said.startswith("invalid_grant:") and by_a_user and not any(part in said for part in _SPARES_THE_KEY):
        return LoginRequiredError
    return AuthenticationError
