"""The folders that exports go to, in whatever store."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from airflow_provider_salesforce_export.exceptions import ConfigurationError
from airflow_provider_salesforce_export.hooks.connection import find_connection

if TYPE_CHECKING:
    from airflow_provider_salesforce_export.export.destination import Folder

_S3, _GCS, _AZURE = ("s3", "s3fs"), ("gcs", "gcsfs"), ("azure", "adlfs")
_STORES = {"s3": _S3, "s3a": _S3, "s3n": _S3, "gs": _GCS, "gcs": _GCS, "abfs": _AZURE, "abfss": _AZURE, "adl": _AZURE}
"""By scheme: the extra of this package, and what it installs."""


def require_store(url: str) -> None:
    """
    Make sure that a URL names a folder, and that what reads and writes there is installed.

    :param url: The URL; nothing is asked for there.
    :raises ConfigurationError: It is no URL, or an extra of this package is missing.
    """
    # A path from somewhere would be a folder wherever the worker happens to run.
    if not (_is_url(url) or url.startswith("/")):
        raise ConfigurationError(
            f"The destination {url!r} is not the URL of a folder: write one such as 'file:///data' or 's3://lake/salesforce'."
        )
    extra, package = _STORES.get(url.partition("://")[0], ("", ""))
    if package and find_spec(package) is None:
        raise ConfigurationError(
            f"The destination {url!r} needs the package {package}, which is not installed: type "
            f"pip install 'airflow-provider-salesforce-export[{extra}]', here and on every worker."
        )


def _is_url(url: str) -> bool:
    try:
        return "://" in url and bool(urlsplit(url))
    except ValueError:
        return False


def open_folder(url: str, conn_id: str | None) -> Folder:
    """
    Return a folder at the destination.

    :param url: A URL that ObjectStoragePath understands; it may name a connection too (``s3://aws_default@lake/crm``).
    :param conn_id: The Airflow connection of the object store, or None.
    :raises ConfigurationError: It is no URL, there is no such connection, or nothing can read and write such a URL.
    """
    from airflow.sdk import ObjectStoragePath

    require_store(url)
    if named := conn_id or urlsplit(url).netloc.rpartition("@")[0]:
        find_connection(named, "that of the object store")  # fsspec would go on with the worker's own credentials
    try:
        return ObjectStoragePath(url, conn_id=conn_id)
    except (ImportError, ValueError) as error:
        raise ConfigurationError(
            f"The destination {url!r} cannot be opened: {error}. The store needs its Airflow provider."
        ) from None
