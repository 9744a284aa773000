"""The key collection: one document per account and owner, with the OAuth token in it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pymongo import ReturnDocument
from pymongo.errors import ConnectionFailure, DuplicateKeyError, OperationFailure, PyMongoError
from pymongo.write_concern import WriteConcern

from airflow_provider_salesforce_export.exceptions import KeyCollectionError, KeyCollectionUnavailableError

if TYPE_CHECKING:
    from pymongo.collection import Collection

    from airflow_provider_salesforce_export.salesforce.grants import Token

log = logging.getLogger(__name__)

DEFAULT_DATABASE = "salesforce_export"
DEFAULT_COLLECTION = "integrations.salesforce.key"

_WRITE_TIMEOUT = 10_000  # milliseconds to wait for a majority of the replica set


@dataclass(frozen=True)
class Account:
    """
    Whose key it is.

    :param account_id: Which app or tenant: the consumer key unless the connection says otherwise.
    :param owner: Which org: the login host unless the connection says otherwise.
    """

    account_id: str
    owner: str


@dataclass(frozen=True)
class Key:
    """
    A stored token.

    :param account: Whose it is.
    :param token: The reply of the token endpoint as Salesforce sent it.
    :param version: How often it has been saved; 0 where another program wrote it.
    :param invalidated: Salesforce has refused it for good: somebody must log in.
    """

    account: Account
    token: Token = field(repr=False)
    version: int = 0
    invalidated: bool = False


class KeyCollection:
    """
    The keys in a MongoDB collection.

    :param collection: The collection. Each write waits until a majority of the replica set has it.
    """

    def __init__(self, collection: Collection[dict[str, Any]]) -> None:
        self._collection = collection.with_options(write_concern=WriteConcern("majority", wtimeout=_WRITE_TIMEOUT))

    @property
    def name(self) -> str:
        """Return the full name, database and collection."""
        return self._collection.full_name

    def find(self, account: Account) -> Key | None:
        """
        Return the key of an account, or None.

        :param account: Whose key.
        :raises KeyCollectionError: The document holds no token, or MongoDB refused.
        :raises KeyCollectionUnavailableError: MongoDB does not answer.
        """
        with _mongo_errors():
            document = self._collection.find_one(_identity(account))
        return self._key(account, document) if document else None

    def save(self, account: Account, token: Token, *, replacing: Key | None) -> Key:
        """
        Store a token, unless somebody else has stored one meanwhile. Other fields of the document are kept.

        :param account: Whose key.
        :param token: The new token.
        :param replacing: The key as it was read before; None where there was none.
        :returns: The key as it is stored afterwards: the new one, or the one that somebody else has stored.
        :raises KeyCollectionError: MongoDB refused.
        :raises KeyCollectionUnavailableError: MongoDB does not answer.
        """
        update = {
            "$set": {
                "token": token,
                "token_invalidated": False,
                "version": replacing.version + 1 if replacing else 1,
            },
            "$unset": {"last_error": ""},
            "$currentDate": {"updated_at": True},
        }
        with _mongo_errors():
            if replacing is None:
                self._make_unique()
            try:
                document = self._collection.find_one_and_update(
                    _identity(account) | _holding(replacing),
                    update,
                    upsert=replacing is None,
                    return_document=ReturnDocument.AFTER,
                )
            except DuplicateKeyError:
                document = None
            document = document or self._collection.find_one(_identity(account))
        if document is None:
            raise KeyCollectionError(f"The key of account {account.account_id} was deleted while it was renewed.")
        return self._key(account, document)

    def invalidate(self, key: Key, reason: str) -> None:
        """
        Mark a key as refused for good, unless somebody has stored another one meanwhile.

        :param key: The key as it was read.
        :param reason: Why, for people who look at the document.
        """
        with _mongo_errors():
            self._collection.update_one(
                _identity(key.account) | _holding(key),
                {
                    "$set": {"token_invalidated": True, "last_error": reason},
                    "$currentDate": {"updated_at": True},
                },
            )

    def delete(self, account: Account) -> bool:
        """
        Delete the key of an account.

        :param account: Whose key.
        :returns: Whether there was one.
        """
        with _mongo_errors():
            return self._collection.delete_one(_identity(account)).deleted_count == 1

    def delete_invalidated(self, key: Key) -> None:
        """
        Delete a key that Salesforce has refused for good, unless somebody has logged in meanwhile.

        :param key: The key as it was read.
        """
        with _mongo_errors():
            self._collection.delete_one(_identity(key.account) | _holding(key) | {"token_invalidated": True})

    def _make_unique(self) -> None:
        try:
            self._collection.create_index([("account_id", 1), ("owner", 1)], unique=True)
        except OperationFailure as error:
            # Another program's index or documents, or no right to make one: a login matters more.
            log.warning("%s has no unique index on account_id and owner: %s", self.name, _said(error))

    def _key(self, account: Account, document: dict[str, Any]) -> Key:
        token = document.get("token")
        if not isinstance(token, dict) or not token.get("access_token") or not token.get("instance_url"):
            raise KeyCollectionError(
                f"The document of account {account.account_id} (owner {account.owner}) in {self.name} holds no token "
                "with access_token and instance_url: delete it and log in again."
            )
        version = document.get("version")
        return Key(account, token, version if isinstance(version, int) else 0, bool(document.get("token_invalidated")))


def _identity(account: Account) -> dict[str, Any]:
    return {"account_id": account.account_id, "owner": account.owner}


def _holding(key: Key | None) -> dict[str, Any]:
    """Return the condition that a document still holds the token that was read; None: that it holds none."""
    return {"token.access_token": key.token["access_token"] if key else {"$exists": False}}


def _said(error: PyMongoError) -> str:
    """Return MongoDB's message alone: its details may quote a document, and with it a token."""
    details = error.details if isinstance(error, OperationFailure) else None
    return str(details.get("errmsg", "")) if details else type(error).__name__


@contextmanager
def _mongo_errors() -> Iterator[None]:
    try:
        yield
    except ConnectionFailure as error:
        cause = str(error).partition(" (configured timeouts:")[0]
        raise KeyCollectionUnavailableError(
            f"MongoDB, which keeps the Salesforce keys, does not answer: {cause}. "
            "Check the MongoDB connection of Airflow (mongo_conn_id), or ask who runs that MongoDB."
        ) from None
    except PyMongoError as error:
        raise KeyCollectionError(
            f"MongoDB refused an operation on the Salesforce keys: {_said(error)}. Check user and rights in the "
            "MongoDB connection of Airflow (mongo_conn_id)."
        ) from None
