"""What all operators of this package share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseOperator

from airflow_provider_salesforce_export.exceptions import ConfigurationError
from airflow_provider_salesforce_export.hooks.connection import find_connection
from airflow_provider_salesforce_export.hooks.salesforce_export import SalesforceExportHook
from airflow_provider_salesforce_export.operators.retries import HAS_RETRY_POLICIES, retry_policy

if TYPE_CHECKING:
    from airflow_provider_salesforce_export.export.destination import Folder

DEFAULT_CONN_ID = SalesforceExportHook.default_conn_name
DEFAULT_CONCURRENCY = 4
DEFAULT_API_QUOTA_LIMIT = 0.8


class SalesforceOperator(BaseOperator):
    """
    A task that talks to Salesforce.

    Where Airflow has retry policies and the task has none of its own, it gets the one of this package.

    :param salesforce_conn_id: An Airflow connection of type ``salesforce_export``. Templated.
    """

    def __init__(self, *, salesforce_conn_id: str = DEFAULT_CONN_ID, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.salesforce_conn_id = salesforce_conn_id
        if HAS_RETRY_POLICIES and self.retry_policy is None:
            self.retry_policy = retry_policy()


def open_folder(url: str, conn_id: str | None) -> Folder:
    """
    Return a folder at the destination.

    :param url: A URL that ObjectStoragePath understands.
    :param conn_id: The Airflow connection of the object store, or None.
    :raises ConfigurationError: It is no URL, there is no such connection, or nothing can read and write such a URL.
    """
    from airflow.sdk import ObjectStoragePath

    if "://" not in url and not url.startswith("/"):  # else it would be a folder wherever the worker happens to run
        raise ConfigurationError(
            f"The destination {url!r} is not the URL of a folder: write one such as 'file:///data' or 's3://lake/salesforce'."
        )
    if conn_id:
        find_connection(conn_id, "that of the object store")  # fsspec would go on without credentials
    try:
        return ObjectStoragePath(url, conn_id=conn_id)
    except (ImportError, ValueError) as error:
        raise ConfigurationError(
            f"The destination {url!r} cannot be opened: {error}. S3 needs the extra [s3] of this package, Google Cloud "
            "Storage [gcs], Azure [azure]; other stores need their Airflow provider."
        ) from None
