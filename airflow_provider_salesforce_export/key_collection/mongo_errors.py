"""MongoDB's errors in the terms of this package, without what they quote of a document."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pymongo.errors import ConnectionFailure, OperationFailure, PyMongoError

from airflow_provider_salesforce_export.exceptions import KeyCollectionError, KeyCollectionUnavailableError


@contextmanager
def mongo_errors() -> Iterator[None]:
    """
    Translate what the driver raises in the block.

    :raises KeyCollectionUnavailableError: MongoDB does not answer, or a majority of the replica set does not.
    :raises KeyCollectionError: MongoDB refused.
    """
    try:
        yield
    except PyMongoError as error:
        if _is_passing(error):
            cause = said(error).partition(" (configured timeouts:")[0]
            raise KeyCollectionUnavailableError(
                f"MongoDB, which keeps the Salesforce keys, does not answer: {cause}. "
                "Check the MongoDB connection of Airflow (mongo_conn_id), or ask who runs that MongoDB."
            ) from None
        raise KeyCollectionError(
            f"MongoDB refused an operation on the Salesforce keys: {said(error)}. Check user and rights in the "
            "MongoDB connection of Airflow (mongo_conn_id)."
        ) from None


def said(error: PyMongoError) -> str:
    """
    Return MongoDB's message alone: its details may quote a document, and with it a token.

    :param error: What the driver raised.
    """
    if isinstance(error, OperationFailure):
        return str((error.details or {}).get("errmsg", type(error).__name__))
    return str(error) if isinstance(error, ConnectionFailure) else type(error).__name__


def _is_passing(error: PyMongoError) -> bool:
    # A primary that steps down may end a write with an error that only the label tells from a refusal.
    return isinstance(error, ConnectionFailure) or error.timeout or error.has_error_label("RetryableWriteError")
