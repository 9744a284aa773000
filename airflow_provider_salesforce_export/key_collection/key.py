"""What is kept of one account, as it was read."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from airflow_provider_salesforce_export.salesforce.grants import Token


PLACEHOLDER_VERSION = 0


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
    :param token: The reply of the token endpoint as Salesforce sent it; None where there is none, or a dead one.
    :param version: How often it has been saved; 0 where another program wrote it.
    :param invalidated: Salesforce has refused it for good: somebody must log in.
    :param last_error: What went wrong since it was saved; empty where nothing did.
    :param unchanged: The condition, for MongoDB, that the document is still as it was read.
    """

    account: Account
    token: Token | None = field(repr=False)
    version: int
    invalidated: bool
    last_error: str
    unchanged: dict[str, Any] = field(repr=False)

    @property
    def is_placeholder(self) -> bool:
        """Return whether this package has stored it without a token, so that a lease could be taken on it."""
        return self.token is None and self.unchanged["version"] == PLACEHOLDER_VERSION


@dataclass(frozen=True)
class KeyStatus:
    """
    What may be shown of a key.

    :param state: Whether it can be used, needs a login, or never was there.
    :param updated_at: When the document was changed.
    :param issued_at: When Salesforce issued the token.
    :param instance_url: The org.
    :param last_error: What went wrong since the token was saved; empty where nothing did.
    :param connected_by: Who logged in; empty where that is not known.
    """

    state: Literal["connected", "needs_login", "never"]
    updated_at: datetime | None = None
    issued_at: datetime | None = None
    instance_url: str | None = None
    last_error: str = ""
    connected_by: str = ""


def unchanged(document: dict[str, Any]) -> dict[str, Any]:
    """
    Return the condition that a document is still as it was read.

    The stored text of the token belongs to it: a program that knows no ``version`` may have written it meanwhile.

    :param document: As it was read.
    """
    token = document.get("token")
    return {
        "_id": document["_id"],
        "version": document.get("version"),
        "token.access_token": token.get("access_token") if isinstance(token, dict) else None,
    }


def version_of(document: dict[str, Any]) -> int:
    """
    Return how often this package has saved a document.

    :param document: As it was read; another program may have left anything in ``version``.
    """
    version = document.get("version")
    return version if isinstance(version, int) else 0
