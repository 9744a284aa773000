"""All of an export in one task."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_salesforce_export.hooks.salesforce_export import DEFAULT_POOL_SIZE, SalesforceExportHook
from airflow_provider_salesforce_export.operators.announcing import AnnouncingOperator
from airflow_provider_salesforce_export.operators.errors import clear_errors
from airflow_provider_salesforce_export.operators.planning import PlanningOperator
from airflow_provider_salesforce_export.operators.waiting import waiting_for_quota

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_salesforce_export.export.plan import Plan
    from airflow_provider_salesforce_export.lineage import Datasets


class SalesforceExportOperator(PlanningOperator, AnnouncingOperator):
    """
    Count, read the pages and publish, in one task with threads of its own: for small objects and busy schedulers.

    It takes the words of :class:`SalesforceExportTaskGroup`, and leaves the same files and the same event.
    """

    _planned: tuple[Plan, Datasets] | None = None

    def resume(self, context: Context, event: dict[str, Any]) -> dict[str, Any]:
        """
        Return the sums of the manifest and where it stands.

        :param context: The task's context.
        :param event: See :meth:`PlanningOperator.resume` and :meth:`PlanningOperator.plan_export`; the ``pages`` that
            were written, where the task was deferred after planning.
        """
        from airflow_provider_salesforce_export.assets import export_uri
        from airflow_provider_salesforce_export.export.publish import publish
        from airflow_provider_salesforce_export.export.segments import export_segments
        from airflow_provider_salesforce_export.lineage import datasets

        hook = SalesforceExportHook(
            self.salesforce_conn_id,
            pool_size=max(DEFAULT_POOL_SIZE, self.concurrency),
            api_quota_limit=self.argument("api_quota_limit"),
        )
        attempt = context["ti"].try_number
        with clear_errors(), hook, waiting_for_quota(self, hook, event):
            client = hook.client
            plan, folder = self.plan_export(context, client, event, readers=self.concurrency)
            uri, sobject = export_uri(self.destination, self.object_type.name), self.object_type.sobject
            org = client.instance_url
            self._planned = plan, datasets(sobject, instance_url=org, export_uri=uri, folder=folder)
            done = event.setdefault("pages", [])
            pages = export_segments(client, plan, folder, threads=self.concurrency, attempt=attempt, done=done)
            manifest = publish(client, folder, plan, pages, api_calls=0, attempt=attempt)
            return self.announce(context, folder, manifest, uri)

    def planned(self) -> tuple[Plan, Datasets] | None:
        """Return the plan, and what it leads from and to; None before there is one."""
        return self._planned
