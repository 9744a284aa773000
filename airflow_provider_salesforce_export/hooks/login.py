"""A login in the browser: where the user is sent, what becomes of the answer, and how it ends."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal, NamedTuple

from airflow_provider_salesforce_export.exceptions import (
    AuthenticationError,
    ConfigurationError,
    KeyCollectionError,
    KeyCollectionUnavailableError,
    SalesforceError,
    SalesforceExportError,
)
from airflow_provider_salesforce_export.salesforce.grants import AuthorizationCodeGrant
from airflow_provider_salesforce_export.salesforce.oauth import authorize_url, new_code_verifier
from airflow_provider_salesforce_export.salesforce.refusals import cleaned

if TYPE_CHECKING:
    from airflow_provider_salesforce_export.hooks.salesforce_export import SalesforceExportHook
    from airflow_provider_salesforce_export.key_collection.key import Key


class BrowserLogin:
    """
    One login by the grant authorization_code, with PKCE.

    :param hook: The connection whose key it is for.
    :param redirect_uri: Where the answer goes: a callback URL of the app; that of the connection by default.
    :raises ConfigurationError: The connection asks for a grant that needs no login, or for no refresh token, or nobody
        says where the answer goes.
    """

    def __init__(self, hook: SalesforceExportHook, redirect_uri: str | None = None) -> None:
        settings = hook.settings
        if not settings.grant().needs_key:
            raise ConfigurationError(
                f"The Airflow connection {hook.salesforce_conn_id!r} needs no login: grant_type "
                f"{settings.grant_type!r} obtains tokens by itself."
            )
        if not (redirect_uri := redirect_uri or settings.redirect_uri):
            raise ConfigurationError(
                f"The Airflow connection {hook.salesforce_conn_id!r} has no redirect_uri: write there a callback "
                "URL of the app in Salesforce."
            )
        self._hook = hook
        self._redirect_uri = redirect_uri
        self._code_verifier = new_code_verifier()
        self.state = secrets.token_urlsafe(32)
        self.url = authorize_url(
            settings.login_page_url,
            settings.client_id,
            redirect_uri=redirect_uri,
            scopes=settings.scopes,
            state=self.state,
            code_verifier=self._code_verifier,
        )

    def belongs(self, answer: Mapping[str, str]) -> bool:
        """
        Return whether an answer is to this login, and not one that somebody else began.

        :param answer: The parameters with which the browser came back.
        """
        return secrets.compare_digest(answer.get("state", "").encode(), self.state.encode())

    def finish(self, answer: Mapping[str, str]) -> None:
        """
        Exchange the code of an answer for a token, and store it.

        :param answer: The parameters with which the browser came back.
        :raises AuthenticationError: The answer is to another login, the user has denied access, or Salesforce refuses.
        """
        if not self.belongs(answer):
            raise AuthenticationError("The answer is to another login (its state differs): begin again.")
        if not answer.get("code"):
            said = ": ".join(cleaned(answer[name]) for name in ("error", "error_description") if answer.get(name))
            raise AuthenticationError(f"Salesforce has not let the app in ({said or 'it sent no code'}): log in again.")
        store_key(self._hook, AuthorizationCodeGrant(answer["code"], self._code_verifier, self._redirect_uri))


def store_key(hook: SalesforceExportHook, grant: AuthorizationCodeGrant, connected_by: str = "") -> None:
    """
    Exchange the code of a login for a token, and store it.

    :param hook: The connection whose key it is.
    :param grant: The code, and what belongs to it.
    :param connected_by: Who logged in, for people.
    :raises SalesforceError: Salesforce refuses, or sends a token that would end with its session.
    :raises KeyCollectionError: MongoDB does not answer, or refuses.
    """
    token = hook.settings.token_endpoint().fetch(grant, None)
    if not token.get("refresh_token"):
        raise AuthenticationError(
            "Salesforce sent no refresh token, so nothing was stored: a Salesforce admin adds the scope refresh_token "
            "to the app's OAuth Settings."
        )
    hook.keys.save(hook.account, token, connected_by)
    hook.meter.count("logins")


class LoggedOut(NamedTuple):
    """
    What became of the token whose key was deleted.

    :param outcome: ``revoked``; ``dead``, where Salesforce did not know it any more; ``good``, where it still is.
    :param remark: What there is to say of it; empty where it was revoked.
    """

    outcome: Literal["revoked", "dead", "good"]
    remark: str = ""


def log_out(hook: SalesforceExportHook) -> LoggedOut | None:
    """
    Revoke the stored token at Salesforce, and delete the key, also where the revocation fails.

    :param hook: The connection whose key it is.
    :returns: None where there was no key.
    :raises KeyCollectionError: MongoDB does not answer, or refuses; the key is not deleted.
    """
    while True:
        try:
            key = hook.keys.find(hook.account)
        except KeyCollectionUnavailableError:
            raise
        except KeyCollectionError as error:  # nobody can read it, here
            hook.keys.delete(hook.account)
            return _still_good(error)
        if key is None or key.is_placeholder:
            return None
        ended = _revoke(hook, key)
        # Where a renewal has saved another token meanwhile, that one is to be revoked too.
        if hook.keys.delete_unchanged(key):
            return ended


def _revoke(hook: SalesforceExportHook, key: Key) -> LoggedOut:
    try:
        is_known = key.token is not None and hook.settings.token_endpoint().revoke(key.token)
    except SalesforceError as error:
        return _still_good(error)
    return LoggedOut("revoked") if is_known else LoggedOut("dead", "Salesforce did not know the token any more.")


def _still_good(error: SalesforceExportError) -> LoggedOut:
    return LoggedOut(
        "good",
        "The token was not revoked, and stays good until a Salesforce admin revokes it (Setup > Connected Apps "
        f"OAuth Usage). {error}",
    )
