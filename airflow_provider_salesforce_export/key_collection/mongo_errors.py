"""MongoDB's errors in the terms of this package; neither they nor the driver's log quote a document."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from pymongo.errors import ConnectionFailure, OperationFailure, PyMongoError

from airflow_provider_salesforce_export.exceptions import KeyCollectionError, KeyCollectionUnavailableError

_speaks_of_keys = ContextVar("_speaks_of_keys", default=False)


@contextmanager
def mongo_errors() -> Iterator[None]:
    """
    Translate what the driver raises in the block, and keep its commands and replies out of the log.

    The driver logs documents at DEBUG, and those that other programs have written hold tokens in plain text.

    :raises KeyCollectionUnavailableError: MongoDB does not answer, or a majority of the replica set does not.
    :raises KeyCollectionError: MongoDB refused.
    """
    before = _speaks_of_keys.set(True)
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
    finally:
        _speaks_of_keys.reset(before)


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


def _may_be_logged(record: logging.LogRecord) -> bool:
    return not _speaks_of_keys.get()


# Not its level: others may want to see the commands of their own collections.
logging.getLogger("pymongo.command").addFilter(_may_be_logged)
