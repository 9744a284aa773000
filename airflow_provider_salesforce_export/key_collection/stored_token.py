"""A token that all workers share: taken from the key collection, renewed and saved when the org refuses it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from airflow_provider_salesforce_export.exceptions import LoginRequiredError
from airflow_provider_salesforce_export.salesforce.session import Renewal

if TYPE_CHECKING:
    from airflow_provider_salesforce_export.key_collection.collection import Account, Key, KeyCollection
    from airflow_provider_salesforce_export.salesforce.grants import Grant, Token
    from airflow_provider_salesforce_export.salesforce.oauth import TokenEndpoint


class StoredToken:
    """
    The token of one account. Threads may share it.

    :param keys: Where it is kept.
    :param account: Whose it is.
    :param endpoint: Where a new one comes from.
    :param grant: How a new one is obtained.
    """

    def __init__(self, keys: KeyCollection, account: Account, endpoint: TokenEndpoint, grant: Grant) -> None:
        self._keys = keys
        self._account = account
        self._endpoint = endpoint
        self._grant = grant
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
                key = self._find()
                self._token = key.token if key else self._obtain(None)
            return self._token

    def renew(self, rejected: Token) -> Renewal:
        """
        Return a token other than the one that was refused: the stored one, else a new one, saved before it is used.

        :param rejected: The token with which the org answered 401.
        :raises LoginRequiredError: The refresh token is refused too.
        :raises KeyCollectionError: The key collection cannot be read or written.
        """
        with self._lock:
            key = self._find()
            is_new = key is None or key.token["access_token"] == rejected["access_token"]
            self._token = self._obtain(key) if key is None or is_new else key.token
            return Renewal(self._token, is_new)

    def _find(self) -> Key | None:
        key = self._keys.find(self._account)
        if key is None or not key.invalidated:
            return key
        self._keys.delete_invalidated(key)
        if self._grant.needs_key:
            raise self._login_required("was refused by Salesforce for good, and has been deleted")
        return None

    def _obtain(self, key: Key | None) -> Token:
        if key is None and self._grant.needs_key:
            raise self._login_required("is not there")
        try:
            token = self._endpoint.fetch(self._grant, key.token if key else None)
        except LoginRequiredError as error:
            if key is not None:
                self._keys.invalidate(key, str(error))
            raise
        return self._keys.save(self._account, token, replacing=key).token

    def _login_required(self, what: str) -> LoginRequiredError:
        account = self._account
        return LoginRequiredError(
            f"The Salesforce key of account {account.account_id} (owner {account.owner}) in {self._keys.name} {what}: "
            "log in to Salesforce with this account, or use grant_type 'password'."
        )
