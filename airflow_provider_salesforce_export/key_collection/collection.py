"""The key collection: one document per account and owner, with the OAuth token in it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pymongo import ReturnDocument
from pymongo.errors import ConnectionFailure, DuplicateKeyError, PyMongoError
from pymongo.write_concern import WriteConcern

from airflow_provider_salesforce_export.exceptions import KeyCollectionError, KeyCollectionUnavailableError

if TYPE_CHECKING:
    from pymongo.collection import Collection

    from airflow_provider_salesforce_export.salesforce.oauth import Token

DEFAULT_DATABASE = "salesforce_export"
DEFAULT_COLLECTION = "integrations.salesforce.key"

_NEVER_SAVED = {"version": {"$exists": False}}  # by this package: the document is another program's, or new
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
        unchanged = {"version": replacing.version} if replacing and replacing.version else _NEVER_SAVED
        update = {
            "$set": {"token": token, "token_invalidated": False},
            "$inc": {"version": 1},
            "$unset": {"last_error": ""},
            "$currentDate": {"updated_at": True},
        }
        with _mongo_errors():
            self._collection.create_index([("account_id", 1), ("owner", 1)], unique=True)
            try:
                document = self._collection.find_one_and_update(
                    _identity(account) | unchanged,
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
                _identity(key.account) | {"token.access_token": key.token["access_token"]},
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

    def _key(self, account: Account, document: dict[str, Any]) -> Key:
        token = document.get("token")
        if not isinstance(token, dict) or not token.get("access_token") or not token.get("instance_url"):
            raise KeyCollectionError(
                f"The document of account {account.account_id} (owner {account.owner}) in {self.name} holds no token "
                "with access_token and instance_url: delete it and log in again."
            )
        return Key(account, token, document.get("version") or 0, bool(document.get("token_invalidated")))


def _identity(account: Account) -> dict[str, Any]:
    return {"account_id": account.account_id, "owner": account.owner}


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
            f"MongoDB refused an operation on the Salesforce keys: {error}. Check user and rights in the MongoDB "
            "connection of Airflow (mongo_conn_id)."
        ) from None
