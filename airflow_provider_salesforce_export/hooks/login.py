"""A login in the browser: where the user is sent, what becomes of the answer, and how it ends."""

from __future__ import annotations

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


def require_login_grant(hook: SalesforceExportHook) -> None:
    """
    Make sure that the key of a connection comes from a login.

    :param hook: The connection.
    :raises ConfigurationError: Its grant obtains tokens by itself.
    """
    if not hook.settings.grant().needs_key:
        raise ConfigurationError(
            f"The Airflow connection {hook.salesforce_conn_id!r} needs no login: grant_type "
            f"{hook.settings.grant_type!r} obtains tokens by itself."
        )


class BrowserLogin:
    """
    One login by the grant authorization_code, with PKCE. Whose answer it is that comes back, the caller must make sure.

    :param hook: The connection whose key it is for.
    :param redirect_uri: Where the answer goes: a callback URL of the app; that of the connection by default.
    :param code_verifier: That of a login that another process began; a new one by default.
    :raises ConfigurationError: The connection asks for a grant that needs no login, or nobody says where the answer
        goes.
    """

    def __init__(
        self, hook: SalesforceExportHook, redirect_uri: str | None = None, code_verifier: str | None = None
    ) -> None:
        require_login_grant(hook)
        if not (redirect_uri := redirect_uri or hook.settings.redirect_uri):
            raise ConfigurationError(
                f"The Airflow connection {hook.salesforce_conn_id!r} has no redirect_uri: write there a callback "
                "URL of the app in Salesforce."
            )
        self._hook = hook
        self.redirect_uri = redirect_uri
        self.code_verifier = code_verifier or new_code_verifier()

    def url(self, state: str) -> str:
        """
        Return where the user is sent.

        :param state: The caller's own mark, which comes back with the answer.
        :raises ConfigurationError: The connection asks for no refresh token.
        """
        settings = self._hook.settings
        return authorize_url(
            settings.login_page_url,
            settings.client_id,
            redirect_uri=self.redirect_uri,
            scopes=settings.scopes,
            state=state,
            code_verifier=self.code_verifier,
        )

    def finish(self, answer: Mapping[str, str], connected_by: str = "") -> None:
        """
        Exchange the code of an answer for a token, and store it.

        :param answer: The parameters with which the browser came back.
        :param connected_by: Who logged in, for people.
        :raises SalesforceError: Salesforce refuses, or sends a token that would end with its session.
        :raises KeyCollectionError: MongoDB does not answer, or refuses.
        """
        if answer.get("error") or not answer.get("code"):
            said = ": ".join(filter(None, (cleaned(answer.get(name)) for name in ("error", "error_description"))))
            raise AuthenticationError(f"Salesforce refused the login ({said or 'without a reason'}).")
        grant = AuthorizationCodeGrant(answer["code"], self.code_verifier, self.redirect_uri)
        token = self._hook.settings.token_endpoint().fetch(grant, None)
        if not token.get("refresh_token"):
            raise AuthenticationError(
                "Salesforce sent no refresh token, so nothing was stored: a Salesforce admin adds the scope "
                "refresh_token to the app's OAuth Settings."
            )
        self._hook.keys.save(self._hook.account, token, connected_by)
        self._hook.meter.count("logins")


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
