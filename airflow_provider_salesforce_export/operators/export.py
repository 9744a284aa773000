"""All of an export in one task."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_salesforce_export.hooks.salesforce_export import DEFAULT_POOL_SIZE, SalesforceExportHook
from airflow_provider_salesforce_export.operators.base import ExportOperatorBase
from airflow_provider_salesforce_export.operators.errors import clear_errors
from airflow_provider_salesforce_export.operators.publish import summary

if TYPE_CHECKING:
    from airflow.sdk import Context


class SalesforceExportOperator(ExportOperatorBase):
    """
    Count, read the pages and publish, in one task with threads of its own: for small objects and busy schedulers.

    It takes the words of :class:`SalesforceExportTaskGroup`, and leaves the same files.
    """

    def execute(self, context: Context) -> dict[str, Any]:
        """
        Return the sums of the manifest and where it stands.

        :param context: The task's context.
        """
        from airflow_provider_salesforce_export.export.manifest import publish
        from airflow_provider_salesforce_export.export.page import export_segments

        with (
            clear_errors(),
            SalesforceExportHook(self.salesforce_conn_id, pool_size=max(DEFAULT_POOL_SIZE, self.concurrency)) as hook,
        ):
            client = hook.client
            plan, folder = self.plan_export(context, client, readers=self.concurrency)
            attempt = context["ti"].try_number
            pages = export_segments(client, plan, folder, threads=self.concurrency, attempt=attempt)
            return summary(folder, publish(client, folder, plan, pages, api_calls=0, attempt=attempt))
