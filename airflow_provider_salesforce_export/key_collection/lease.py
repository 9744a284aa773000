"""
A lease on a key: the right of one worker to renew it.

Only its holder calls the token endpoint, since Salesforce may replace the refresh token with each call, and takes a
second use of an old one for theft: it revokes the whole grant. All times are those of the MongoDB server (``$$NOW``);
the clocks of workers do not count.
"""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from pymongo import ReturnDocument
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_random

from airflow_provider_salesforce_export.exceptions import KeyCollectionError, KeyCollectionUnavailableError
from airflow_provider_salesforce_export.key_collection.mongo_errors import mongo_errors

if TYPE_CHECKING:
    from pymongo.collection import Collection

    from airflow_provider_salesforce_export.key_collection.encryption import KeyEncryption
    from airflow_provider_salesforce_export.key_collection.key import Key
    from airflow_provider_salesforce_export.salesforce.grants import Token

SAVE_SECONDS = 30.0
"""How long a save is tried again: until it succeeds, the new refresh token exists in this process alone."""

IS_FREE: dict[str, Any] = {"$expr": {"$lte": ["$lease.until", "$$NOW"]}}
"""The condition that nobody holds a lease; a missing value is less than any date."""


@dataclass(frozen=True)
class Lease:
    """
    The right to renew a key, until it runs out.

    :param key: The key as it was when the lease was taken.
    :param holder: Who has it: host, process, and something random.
    :param unfinished_since: When a renewal began that has no known end, if there was one: its worker died, or no reply
        came. Salesforce may have replaced the refresh token then.
    """

    key: Key
    holder: str
    unfinished_since: datetime | None
    _collection: Collection[dict[str, Any]] = field(repr=False)
    _encryption: KeyEncryption = field(repr=False)

    @classmethod
    def take(
        cls, collection: Collection[dict[str, Any]], encryption: KeyEncryption, key: Key, seconds: float
    ) -> Lease | None:
        """
        Take the lease on a key, or return None where another worker has it or the key has changed.

        :param collection: The key collection.
        :param encryption: How tokens are stored.
        :param key: The key as it was read.
        :param seconds: After how long others may take it.
        """
        holder = f"{socket.gethostname()}:{os.getpid()}:{uuid4().hex}"
        lease = {
            "holder": {"$literal": holder},
            "taken_at": "$$NOW",
            "until": {"$add": ["$$NOW", round(seconds * 1000)]},
            # Whoever ends a renewal removes the lease: one that is still there was not ended.
            "unfinished_since": {"$ifNull": ["$lease.unfinished_since", "$lease.taken_at"]},
        }
        with mongo_errors():
            document = collection.find_one_and_update(
                key.unchanged | IS_FREE,
                [{"$set": {"lease": {"$mergeObjects": [lease]}}}],  # $set alone would merge it into the old one
                return_document=ReturnDocument.AFTER,
            )
        if document is None:
            return None
        unfinished_since = document["lease"].get("unfinished_since")
        is_date = isinstance(unfinished_since, datetime)
        return cls(key, holder, unfinished_since if is_date else None, collection, encryption)

    def save(self, token: Token) -> bool:
        """
        Store the new token and end the lease. Other fields of the document are kept, also those of the old token.

        While MongoDB is away, this is tried again for some time.

        :param token: What the token endpoint sent.
        :returns: Whether it is stored; False where the lease had run out and another worker has it or has renewed the
            key, where somebody has logged in, and where the key was deleted.
        :raises KeyCollectionUnavailableError: MongoDB does not answer.
        :raises KeyCollectionError: MongoDB refused.
        """
        stored = self._encryption.encrypt({**(self.key.token or {}), **token})
        version = self.key.version + 1
        # An attempt whose reply was lost may have succeeded: then this repeats it, until a majority has it.
        saved_before = {
            "_id": self.key.unchanged["_id"],
            "version": version,
            "token.access_token": stored["access_token"],
        }
        update = {
            "$set": {"token": stored, "token_invalidated": False, "version": version},
            "$unset": {"lease": "", "last_error": ""},
            "$currentDate": {"updated_at": True},
        }
        attempts = Retrying(
            retry=retry_if_exception_type(KeyCollectionUnavailableError),
            stop=stop_after_delay(SAVE_SECONDS),
            wait=wait_random(0.2, 1),
            reraise=True,
        )
        try:
            return attempts(self._update, {"$or": [self._held, saved_before]}, update)
        except KeyCollectionUnavailableError as error:
            raise KeyCollectionUnavailableError(
                f"Salesforce issued a new token, which could not be saved in {SAVE_SECONDS:.0f} s and was not used. "
                "Where refresh tokens rotate, the stored one is dead now: somebody must log in to Salesforce again. "
                f"{error}"
            ) from None

    def invalidate(self, reason: str) -> bool:
        """
        Mark the key as refused for good and end the lease.

        :param reason: Why, for people; without secrets.
        :returns: Whether it is marked; see :meth:`save`.
        """
        return self._update(
            self._held,
            {
                "$set": {"token_invalidated": True, "last_error": reason, "version": self.key.version + 1},
                "$unset": {"lease": ""},
                "$currentDate": {"updated_at": True},
            },
        )

    def release(self, reason: str, *, unused: bool) -> None:
        """
        End the lease with the key as it was; one that was made for the lease alone goes with it.

        :param reason: Why, for people; without secrets.
        :param unused: Whether the stored refresh token is surely not used up.
        """
        if unused and self.unfinished_since is None:
            update: Any = {"$set": {"last_error": reason}, "$unset": {"lease": ""}}
        else:
            update = [{"$set": {"last_error": {"$literal": reason}, "lease.until": "$$NOW"}}]
        with suppress(KeyCollectionError):  # it runs out by itself; what went wrong before matters more
            if self.key.is_placeholder:
                self._delete()
            else:
                self._update(self._held, update)

    @property
    def _held(self) -> dict[str, Any]:
        return self.key.unchanged | {"lease.holder": self.holder}

    def _delete(self) -> None:
        with mongo_errors():
            self._collection.delete_one(self._held)

    def _update(self, condition: dict[str, Any], update: Any) -> bool:
        with mongo_errors():
            return self._collection.update_one(condition, update).matched_count == 1
