"""The key collection: one document per account and owner, with the OAuth token in it."""

from __future__ import annotations

import logging
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Literal

from pymongo import ReadPreference
from pymongo.errors import OperationFailure
from pymongo.write_concern import WriteConcern

from airflow_provider_salesforce_export.exceptions import KeyCollectionError, KeyDecryptionError
from airflow_provider_salesforce_export.key_collection.encryption import InvalidToken, KeyEncryption
from airflow_provider_salesforce_export.key_collection.key import (
    PLACEHOLDER_VERSION,
    Account,
    Key,
    KeyStatus,
    unchanged,
    version_of,
)
from airflow_provider_salesforce_export.key_collection.lease import IS_FREE, Lease
from airflow_provider_salesforce_export.key_collection.logins import PendingLogins
from airflow_provider_salesforce_export.key_collection.mongo_errors import mongo_errors, said

if TYPE_CHECKING:
    from pymongo.collection import Collection

    from airflow_provider_salesforce_export.salesforce.grants import Token

log = logging.getLogger(__name__)

DEFAULT_DATABASE = "salesforce_export"
DEFAULT_COLLECTION = "integrations.salesforce.key"

Rotation = Literal["rotated", "busy", "unreadable", "missing"]
"""
What became of a token when its encryption was to be changed: ``busy``, where it was being renewed (try again);
``unreadable``, where it is encrypted under another key or is no token; ``missing``, where there is none.
"""

_WRITE_TIMEOUT = 10_000  # milliseconds to wait for a majority of the replica set
_DIGITS_OF_MILLISECONDS = 13  # from 2001 to 2286


class KeyCollection:
    """
    The keys in a MongoDB collection.

    All methods raise KeyCollectionUnavailableError where MongoDB does not answer, and KeyCollectionError where it
    refuses.

    :param collection: The collection. Each write waits until a majority of the replica set has it.
    :param encryption: How tokens are stored.
    """

    def __init__(self, collection: Collection[dict[str, Any]], encryption: KeyEncryption) -> None:
        self._collection = collection.with_options(
            codec_options=collection.codec_options.with_options(tz_aware=True),
            read_preference=ReadPreference.PRIMARY,  # a secondary may still have the token that was just refused
            write_concern=WriteConcern("majority", wtimeout=_WRITE_TIMEOUT),
        )
        self._encryption = encryption

    @property
    def name(self) -> str:
        """Return the full name, database and collection."""
        return self._collection.full_name

    @property
    def logins(self) -> PendingLogins:
        """Return the logins that were begun, in a collection beside this one."""
        return PendingLogins(self._collection["logins"], self._encryption)

    def find(self, account: Account) -> Key | None:
        """
        Return the key of an account, or None.

        :param account: Whose key.
        :raises KeyDecryptionError: The token is encrypted under another key.
        :raises KeyCollectionError: The document holds something that is not a token.
        """
        document = self._document(account)
        return self._key(account, document) if document else None

    def find_or_create(self, account: Account) -> Key:
        """
        Return the key of an account; where there is none, store one without a token, on which a lease can be taken.

        :param account: Whose key.
        :raises KeyDecryptionError: The token is encrypted under another key.
        :raises KeyCollectionError: The document holds something that is not a token.
        """
        while (key := self.find(account)) is None:
            self._make_unique()
            placeholder = {"$setOnInsert": {"version": PLACEHOLDER_VERSION}}
            with mongo_errors():
                self._collection.update_one(_identity(account), placeholder, upsert=True)
        return key

    def status(self, account: Account) -> KeyStatus:
        """
        Return what may be shown of a key, without secrets.

        :param account: Whose key.
        """
        document = self._document(account)
        if document is None:
            return KeyStatus("never")
        try:
            key = self._key(account, document)
        except KeyCollectionError as error:
            return KeyStatus("needs_login", _date(document.get("updated_at")), last_error=str(error))
        token = key.token or {}
        return KeyStatus(
            "needs_login" if key.invalidated else "connected" if key.token else "never",
            _date(document.get("updated_at")),
            _issued_at(token.get("issued_at")),
            token.get("instance_url"),
            key.last_error,
            str(document.get("connected_by") or ""),
        )

    def save(self, account: Account, token: Token, connected_by: str = "") -> None:
        """
        Store the token of a login, in place of whatever is there. Other fields of the document are kept.

        A renewal that is under way ends without effect.

        :param account: Whose key.
        :param token: The reply of the token endpoint.
        :param connected_by: Who logged in, for people.
        """
        self._make_unique()
        saved = {
            "token": {"$literal": self._encryption.encrypt(token)},
            "token_invalidated": False,
            "version": {"$cond": [{"$in": [{"$type": "$version"}, ["int", "long"]]}, {"$add": ["$version", 1]}, 1]},
            "updated_at": "$$NOW",
            "connected_by": {"$literal": connected_by},
        }
        with mongo_errors():
            self._collection.update_one(
                _identity(account), [{"$set": saved}, {"$unset": ["lease", "last_error"]}], upsert=True
            )

    def lease(self, key: Key, seconds: float) -> Lease | None:
        """
        Take the lease on a key, or return None where another worker has it or the key has changed.

        :param key: The key as it was read.
        :param seconds: After how long others may take it.
        """
        return Lease.take(self._collection, self._encryption, key, seconds)

    def delete(self, account: Account) -> bool:
        """
        Delete the key of an account.

        :param account: Whose key.
        :returns: Whether there was one.
        """
        with mongo_errors():
            return self._collection.delete_one(_identity(account)).deleted_count == 1

    def delete_unchanged(self, key: Key) -> bool:
        """
        Delete a key, unless it has been renewed or somebody has logged in meanwhile.

        :param key: The key as it was read.
        :returns: Whether it was as it was read.
        """
        with mongo_errors():
            return self._collection.delete_one(key.unchanged).deleted_count == 1

    def rotate(self, account: Account) -> Rotation:
        """
        Encrypt the token of an account anew, under the newest key.

        :param account: Whose token: that of another connection may be under keys that its own workers alone have.
        """
        document = self._document(account)
        if document is None or "token" not in document:
            return "missing"
        try:
            token = self._token(account, document["token"])
        except KeyCollectionError:
            return "unreadable"
        with mongo_errors():
            changed = self._collection.update_one(
                unchanged(document) | IS_FREE,
                {"$set": {"token": self._encryption.encrypt(token), "version": version_of(document) + 1}},
            )
        return "rotated" if changed.matched_count else "busy"

    def accounts(self) -> list[Account]:
        """Return whose tokens there are."""
        with mongo_errors():
            documents = list(self._collection.find({"token": {"$exists": True}}, {"account_id": 1, "owner": 1}))
        return [Account(document.get("account_id", ""), document.get("owner", "")) for document in documents]

    def _make_unique(self) -> None:
        with mongo_errors():
            try:
                self._collection.create_index([("account_id", 1), ("owner", 1)], unique=True)
            except OperationFailure as error:
                # Another program's index or documents, or no right to make one: a login matters more.
                log.warning("%s has no unique index on account_id and owner: %s", self.name, said(error))

    def _document(self, account: Account) -> dict[str, Any] | None:
        with mongo_errors():
            return self._collection.find_one(_identity(account))

    def _key(self, account: Account, document: dict[str, Any]) -> Key:
        invalidated = document.get("token_invalidated") is True
        return Key(
            account,
            None if invalidated or "token" not in document else self._token(account, document["token"]),
            version_of(document),
            invalidated,
            str(document.get("last_error") or ""),
            unchanged(document),
        )

    def _token(self, account: Account, stored: Any) -> Token:
        where = f"of account {account.account_id} (owner {account.owner}) in {self.name}"
        if not isinstance(stored, dict) or not stored.get("access_token") or not stored.get("instance_url"):
            raise KeyCollectionError(
                f"The document {where} holds no token with access_token and instance_url: delete it and log in again."
            )
        try:
            return self._encryption.decrypt(stored)
        except InvalidToken:
            raise KeyDecryptionError(
                f"The Salesforce token {where} is encrypted under a key that is not set here; nothing was changed. An "
                "Airflow admin mends it: where key_encryption_keys was changed, put the old key back behind the new "
                "one. Where none is set, the key comes from the consumer secret: after a change of that, log in to "
                "Salesforce again (delete the document first), or set key_encryption_keys to a new key and, behind it, "
                "'secret:' with the old consumer secret."
            ) from None


def _identity(account: Account) -> dict[str, Any]:
    return {"account_id": account.account_id, "owner": account.owner}


def _date(value: Any) -> datetime | None:
    return value if isinstance(value, datetime) else None


def _issued_at(value: Any) -> datetime | None:
    """Return the time that Salesforce sends as milliseconds in a text."""
    if not isinstance(value, str) or not value.isdecimal() or len(value) != _DIGITS_OF_MILLISECONDS:
        return None
    return datetime.fromtimestamp(int(value) / 1000, timezone.utc)
