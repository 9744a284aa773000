"""The last task of an export: check the pages against each other, and commit them by the manifest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_salesforce_export.hooks.salesforce_export import SalesforceExportHook
from airflow_provider_salesforce_export.object_types import ObjectType, resolve_object_type
from airflow_provider_salesforce_export.operators.announcing import AnnouncingOperator
from airflow_provider_salesforce_export.operators.base import QUERY_OF_PLAN
from airflow_provider_salesforce_export.operators.errors import clear_errors
from airflow_provider_salesforce_export.operators.folders import open_folder
from airflow_provider_salesforce_export.operators.links import ExportFolderLink
from airflow_provider_salesforce_export.operators.waiting import waiting_for_quota

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_salesforce_export.export.plan import Plan
    from airflow_provider_salesforce_export.lineage import Datasets


class SalesforceExportPublishOperator(AnnouncingOperator):
    """
    Check that the pages cover the object exactly once, and write the manifest.

    Its success is an event of an asset, the folder of the export.

    :param object_type: What is exported.
    :param destination: Where it goes, as the count task has it; not rendered here.
    :param plan: The XCom ``plan`` of the count task.
    :param results: What the page tasks returned.
    :param kwargs: See :class:`SalesforceOperator`.
    """

    # The query comes after the plan, in which it is looked up.
    template_fields: Sequence[str] = ("plan", "soql", "results", "salesforce_conn_id")
    template_fields_renderers: ClassVar[dict[str, str]] = {"plan": "json", "soql": "sql", "results": "json"}
    soql = QUERY_OF_PLAN
    operator_extra_links = (ExportFolderLink(), *AnnouncingOperator.operator_extra_links)
    ui_color = "#a9d8f5"

    def __init__(
        self,
        *,
        object_type: str | ObjectType,
        destination: str,
        plan: dict[str, Any],
        results: Sequence[dict[str, Any]],
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.plan = plan
        self.results = results
        self.object_type = resolve_object_type(object_type)
        self.destination = destination

    def execute(self, context: Context) -> dict[str, Any]:
        """
        Return the sums of the manifest and where it stands.

        It heeds no limit of API calls but the org's own: a call or two finish what hundreds have read.

        :param context: The task's context.
        """
        return self.resume(context, {})

    def resume(self, context: Context, event: dict[str, Any]) -> dict[str, Any]:
        """
        Publish, as :meth:`execute` does.

        :param context: The task's context.
        :param event: What waiting needs.
        """
        from airflow_provider_salesforce_export.export.publish import publish

        # A slice of mapped results comes in one request, iteration in one for each; None where nothing was mapped.
        # Cleared and planned anew with fewer page tasks, Airflow still gives the results of those that are gone.
        results = [result for result in (self.results or [])[:] if result["run"] == self.plan["run"]]
        hook = SalesforceExportHook(self.salesforce_conn_id)
        with clear_errors(), hook, waiting_for_quota(self, hook, event):
            folder = open_folder(self.plan["folder"], self.plan["destination_conn_id"])
            ExportFolderLink.push(context, folder)
            manifest = publish(
                hook.client,
                folder,
                self.planned()[0],
                [page for result in results for page in result["pages"]],
                api_calls=self.plan["api_calls"] + sum(result["api_calls"] for result in results),
                attempt=context["ti"].try_number,
            )
            return self.announce(context, folder, manifest, self.plan["export_uri"])

    def planned(self) -> tuple[Plan, Datasets]:
        """Return the plan of the count task, and what it leads from and to."""
        from airflow_provider_salesforce_export.export.plan import Plan

        return Plan.from_dict(self.plan), self.plan["datasets"]
