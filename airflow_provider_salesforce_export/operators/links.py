"""
Where a task's page in Airflow leads to: the folder of the export, the Bulk job, the connection's key.

Airflow reads an XCom when it shows a page, and nothing else. It pushes what ``get_link`` returns when the task ends;
here, an address is pushed as soon as it is known, so that the link is there while the task runs or is deferred.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

from airflow.providers.common.compat.sdk import BaseOperatorLink

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator, Context
    from airflow.sdk.types import TaskInstanceKey

    from airflow_provider_salesforce_export.export.destination import Folder
    from airflow_provider_salesforce_export.salesforce.client import SalesforceClient


class PushedLink(BaseOperatorLink):
    """A link whose address the task pushes; Airflow is not to ask for it at the end."""

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """
        Return nothing: the address is known to the task alone.

        :param operator: The operator.
        :param ti_key: The task.
        """
        return ""

    @classmethod
    def _push(cls, context: Context, address: str) -> None:
        context["ti"].xcom_push(key=cls().xcom_key, value=address)


class ExportFolderLink(PushedLink):
    """The folder of the export, in the web console of its store."""

    name = "Export folder"

    @classmethod
    def push(cls, context: Context, folder: Folder) -> None:
        """
        Keep the address of a folder, where its store has a web console.

        :param context: The task's context.
        :param folder: The folder.
        """
        if address := console_address(folder):
            cls._push(context, address)


class BulkJobLink(PushedLink):
    """The Bulk job, in Salesforce's Setup, "Bulk Data Load Jobs"."""

    name = "Bulk job in Salesforce"

    @classmethod
    def push(cls, context: Context, client: SalesforceClient, job_id: str) -> None:
        """
        Keep the address of a job.

        :param context: The task's context.
        :param client: The org.
        :param job_id: The job.
        """
        page = f"/lightning/setup/AsyncApiJobStatus/page?address={quote(f'/{job_id}', safe='')}"
        cls._push(context, client.instance_url + page)


class ConnectionLink(BaseOperatorLink):
    """The page of this package in Airflow, which shows the connection's key."""

    name = "Salesforce connection"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """
        Return the path of the page, with the connection, which it may not list by itself.

        :param operator: The operator.
        :param ti_key: The task.
        """
        from airflow_provider_salesforce_export.plugin.addresses import PAGE, root_path

        conn_id = operator.salesforce_conn_id  # type: ignore[attr-defined]
        return f"{root_path()}{PAGE}?{urlencode({'conn_id': conn_id})}"


def console_address(folder: Folder) -> str | None:
    """
    Return the address of a folder for a browser; None where its store has none, or is not the provider's own.

    :param folder: The folder.
    """
    bucket, _, path = folder.path.strip("/").partition("/")
    prefix = quote(path)
    if folder.protocol in {"s3", "s3a", "s3n"} and not folder.fs.endpoint_url:
        return f"https://s3.console.aws.amazon.com/s3/buckets/{bucket}?prefix={prefix}/"
    if folder.protocol in {"gs", "gcs"}:
        return f"https://console.cloud.google.com/storage/browser/{bucket}/{prefix}"
    return None
