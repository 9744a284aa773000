"""
Logins in the browser that were begun and have not come back.

They lie in MongoDB, so that any replica of the API server can end what another one began, and each only once. The
code verifier (PKCE, RFC 7636) must not travel with the browser: it is kept here, encrypted as the tokens are.
"""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pymongo.errors import OperationFailure

from airflow_provider_salesforce_export.exceptions import KeyDecryptionError
from airflow_provider_salesforce_export.key_collection.encryption import InvalidToken
from airflow_provider_salesforce_export.key_collection.mongo_errors import mongo_errors, said

if TYPE_CHECKING:
    from pymongo.collection import Collection

    from airflow_provider_salesforce_export.key_collection.encryption import KeyEncryption

log = logging.getLogger(__name__)

LOGIN_SECONDS = 3600
"""How long a login may take."""


@dataclass(frozen=True)
class PendingLogin:
    """
    A login that was begun.

    :param login_id: Good for one callback.
    :param browser: A secret that the browser alone has, in a cookie.
    :param user: The Airflow user who began it.
    :param redirect_uri: Where Salesforce sends the browser back to.
    :param code_verifier: The secret behind the challenge of the authorization URL.
    """

    login_id: str
    browser: str = field(repr=False)
    user: str
    redirect_uri: str
    code_verifier: str = field(repr=False)


class PendingLogins:
    """
    The logins in a MongoDB collection. Methods raise as those of the key collection do.

    :param collection: The collection.
    :param encryption: How tokens are stored.
    """

    def __init__(self, collection: Collection[dict[str, Any]], encryption: KeyEncryption) -> None:
        self._collection = collection
        self._encryption = encryption

    def begin(self, login: PendingLogin) -> None:
        """
        Store a login.

        :param login: The login.
        """
        self._forget_old_ones()
        stored = {
            "browser": _hash(login.browser),
            "user": {"$literal": login.user},
            "redirect_uri": {"$literal": login.redirect_uri},
            "secrets": {"$literal": self._encryption.encrypt({"code_verifier": login.code_verifier})},
            "expires_at": {"$add": ["$$NOW", LOGIN_SECONDS * 1000]},
        }
        with mongo_errors():
            self._collection.update_one({"_id": login.login_id}, [{"$set": stored}], upsert=True)

    def take(self, login_id: str, browser: str, user: str) -> PendingLogin | None:
        """
        Return a login and forget it: nobody gets it a second time.

        :param login_id: Which one.
        :param browser: The secret of the browser that came back.
        :param user: The Airflow user who came back.
        :returns: None where there is none, where another browser or another user began it, and where it is too old.
        :raises KeyDecryptionError: The encryption keys were changed meanwhile.
        """
        condition = {"_id": login_id, "browser": _hash(browser), "user": user}
        with mongo_errors():
            found = self._collection.find_one_and_delete(
                condition | {"$expr": {"$gt": ["$expires_at", "$$NOW"]}},
            )
        if found is None:
            return None
        try:
            secrets = self._encryption.decrypt(found["secrets"])
        except InvalidToken:
            raise KeyDecryptionError("The encryption keys were changed during this login: log in again.") from None
        return PendingLogin(login_id, browser, user, found["redirect_uri"], secrets["code_verifier"])

    def _forget_old_ones(self) -> None:
        with mongo_errors():
            try:
                self._collection.create_index("expires_at", expireAfterSeconds=0)
            except OperationFailure as error:
                # No right to make one: old logins are refused anyway, and only take room.
                log.warning("%s has no index that removes old logins: %s", self._collection.full_name, said(error))


def _hash(browser: str) -> str:
    return hashlib.sha256(browser.encode()).hexdigest()
