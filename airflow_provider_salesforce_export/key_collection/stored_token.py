"""A token that all workers share: taken from the key collection; renewed, by one of them, when the org refuses it."""

from __future__ import annotations

import logging
import random
import threading
import time
from typing import TYPE_CHECKING

from airflow_provider_salesforce_export.exceptions import (
    AuthenticationError,
    ForeignInstanceError,
    KeyCollectionError,
    LoginRequiredError,
    SalesforceError,
)
from airflow_provider_salesforce_export.key_collection.encryption import redact
from airflow_provider_salesforce_export.key_collection.lease import SAVE_SECONDS
from airflow_provider_salesforce_export.salesforce.domains import checked_instance_url
from airflow_provider_salesforce_export.salesforce.meter import UNMETERED
from airflow_provider_salesforce_export.salesforce.session import Renewal

if TYPE_CHECKING:
    from airflow_provider_salesforce_export.key_collection.collection import KeyCollection
    from airflow_provider_salesforce_export.key_collection.key import Account, Key
    from airflow_provider_salesforce_export.key_collection.lease import Lease
    from airflow_provider_salesforce_export.salesforce.grants import Grant, Token
    from airflow_provider_salesforce_export.salesforce.meter import Meter
    from airflow_provider_salesforce_export.salesforce.oauth import TokenEndpoint

log = logging.getLogger(__name__)

START_SECONDS = 10.0
"""How long taking the lease may last, until the call: a later one might be the second to use a refresh token."""


class StoredToken:
    """
    The token of one account. Threads may share it.

    :param keys: Where it is kept.
    :param account: Whose it is.
    :param endpoint: Where a new one comes from.
    :param grant: How a new one is obtained.
    :param meter: Is told of renewals, and where a login is needed.
    """

    def __init__(
        self, keys: KeyCollection, account: Account, endpoint: TokenEndpoint, grant: Grant, meter: Meter = UNMETERED
    ) -> None:
        self._keys = keys
        self._account = account
        self._endpoint = endpoint
        self._grant = grant
        self._meter = meter
        # The call takes as long as connecting and reading may, and the save may have to wait for MongoDB.
        self._lease_seconds = START_SECONDS + 2 * endpoint.timeout + SAVE_SECONDS
        # Long enough for a lease whose holder died, and the renewal by another worker after it.
        self._patience = 2 * self._lease_seconds
        self._lock = threading.Lock()
        self._token: Token | None = None

    def current(self) -> Token:
        """
        Return the token to use: the stored one, else a new one where the grant can obtain it by itself.

        :raises LoginRequiredError: There is no key for this account, or Salesforce has refused it for good.
        :raises KeyCollectionError: The key collection cannot be read.
        """
        with self._lock:
            if self._token is None:
                self._token = self._other_than(None).token
            return self._token

    def renew(self, rejected: Token) -> Renewal:
        """
        Return a token other than the one that was refused: the stored one, else a new one, saved before it is used.

        :param rejected: The token with which the org answered 401.
        :raises LoginRequiredError: The refresh token is refused too.
        :raises KeyCollectionError: The key collection cannot be read or written, or another worker has been renewing
            the token for too long.
        """
        with self._lock:
            renewal = self._other_than(rejected["access_token"])
            self._token = renewal.token
            return renewal

    def _other_than(self, rejected: str | None) -> Renewal:
        try:
            return self._found_or_renewed(rejected)
        except LoginRequiredError:
            self._meter.count("login_required")
            raise

    def _found_or_renewed(self, rejected: str | None) -> Renewal:
        deadline = time.monotonic() + self._patience
        waited = False
        while True:
            key = self._find(waited=waited)
            if key.token is not None and key.token["access_token"] != rejected:
                return Renewal(self._checked(key.token), is_new=False)
            call_until = time.monotonic() + START_SECONDS  # from before the lease begins: its reply may take long
            lease = self._keys.lease(key, self._lease_seconds)
            if lease and (token := self._obtain(lease, call_until)):
                return Renewal(token, is_new=True)
            if time.monotonic() > deadline:
                raise KeyCollectionError(
                    f"{self._describe()} has been renewed by other workers, without success, for the "
                    f"{self._patience:.0f} s that this one waited. The logs of the others say why; trying again later "
                    "may help."
                )
            if not waited:
                log.info("Another worker renews the Salesforce token: waiting for it.")
            waited = True
            time.sleep(random.uniform(0.1, 0.5))  # at random, so that the others do not all ask at once

    def _checked(self, token: Token) -> Token:
        """Return a stored token whose instance is Salesforce's: others may write to the collection."""
        try:
            return {**token, "instance_url": checked_instance_url(token["instance_url"], self._endpoint.login_url)}
        except ForeignInstanceError:
            raise KeyCollectionError(
                f"{self._describe()} names an instance that is not Salesforce's, and was not used. Whoever runs that "
                "MongoDB finds out who has written it; delete the document and log in again."
            ) from None

    def _find(self, *, waited: bool) -> Key:
        """
        Return the key. A grant that needs no login has a new one made where there is none, or a dead one.

        :param waited: Whether another worker has tried to renew it meanwhile.
        """
        key = self._keys.find(self._account)
        if key is None:
            if self._grant.needs_key:
                raise self._login_required("is not there")
            return self._keys.find_or_create(self._account)
        if not key.invalidated:
            if key.token is None and self._grant.needs_key:
                raise self._login_required("is not there")
            return key
        if waited and not self._grant.needs_key:
            raise AuthenticationError(f"{self._describe()} could not be obtained by another worker. {key.last_error}")
        self._keys.delete_unchanged(key)
        if self._grant.needs_key:
            raise self._login_required(f"was refused by Salesforce for good, and has been deleted ({key.last_error})")
        return self._keys.find_or_create(self._account)

    def _obtain(self, lease: Lease, call_until: float) -> Token | None:
        """
        Call the token endpoint once and save what it sends; None where the lease had run out, or the key is gone.

        :param lease: The right to do so.
        :param call_until: After when, on the monotonic clock, the lease may run out before the new token is saved.
        """
        if lease.unfinished_since:
            log.warning("A renewal of the Salesforce token, begun at %s, was never finished.", lease.unfinished_since)
        # The last look at the clock before the request: what stops this worker from here on, it cannot know.
        if time.monotonic() > call_until:
            reason = "A renewal of the Salesforce token was held up before it called Salesforce, and begins again."
            log.warning(reason)
            lease.release(reason, unused=True)
            return None
        try:
            token = self._endpoint.fetch(self._grant, lease.key.token)
        except AuthenticationError as error:
            self._meter.count("failed_renewals")
            # A login is kept where it may be good again; those who wait must not try a wrong password, one by one.
            if self._grant.needs_key and not isinstance(error, LoginRequiredError):
                unused = not isinstance(error, ForeignInstanceError)  # it came with a token
                lease.release(self._redact(str(error), lease), unused=unused)
                raise
            refusal = self._explain(error, lease)
            if lease.invalidate(str(refusal)):
                raise refusal from None
            return None
        except SalesforceError as error:
            self._meter.count("failed_renewals")
            lease.release(self._redact(str(error), lease), unused=False)
            raise
        if lease.save(token):
            self._meter.count("renewals")
            return token
        if self._keys.find(self._account) is None:
            self._revoke(token)
        return None

    def _revoke(self, token: Token) -> None:
        """Revoke what nobody will store: a logout meanwhile has ended what it found, and could not know of this."""
        try:
            self._endpoint.revoke(token)
        except SalesforceError as error:
            log.warning(
                "%s was deleted while its token was renewed; the new one was not revoked, and stays good until a "
                "Salesforce admin revokes it. %s",
                self._describe(),
                error,
            )

    def _explain(self, error: AuthenticationError, lease: Lease) -> AuthenticationError:
        text = self._redact(str(error), lease)
        if lease.unfinished_since:
            text += (
                f" A likely reason: a renewal that began at {lease.unfinished_since:%Y-%m-%d %H:%M:%S} UTC was never "
                "finished (its worker died or was stopped before it had saved the new token, or Salesforce's reply was "
                "lost or not believed). Where refresh tokens rotate, the stored one was dead from then on, and nobody "
                "has the new one."
            )
        return type(error)(text, error_code=error.error_code, status_code=error.status_code)

    def _redact(self, text: str, lease: Lease) -> str:
        return redact(text, {**(lease.key.token or {}), "client_secret": self._endpoint.client_secret})

    def _login_required(self, what: str) -> LoginRequiredError:
        return LoginRequiredError(
            f"{self._describe()} {what}: log in to Salesforce ({self._endpoint.login_url}), on the page Salesforce "
            "in Airflow's navigation or by airflow salesforce-export login, or choose a grant_type that needs no login."
        )

    def _describe(self) -> str:
        account = self._account
        return f"The Salesforce key of account {account.account_id} (owner {account.owner}) in {self._keys.name}"
