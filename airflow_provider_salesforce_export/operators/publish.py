"""The last task of an export: check the pages against each other, and commit them by the manifest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_salesforce_export.hooks.salesforce_export import SalesforceExportHook
from airflow_provider_salesforce_export.operators.base import SalesforceOperator
from airflow_provider_salesforce_export.operators.errors import clear_errors
from airflow_provider_salesforce_export.operators.folders import open_folder
from airflow_provider_salesforce_export.operators.links import ExportFolderLink
from airflow_provider_salesforce_export.operators.waiting import waiting_for_quota

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_salesforce_export.export.destination import Folder
    from airflow_provider_salesforce_export.export.manifest import Manifest


class SalesforceExportPublishOperator(SalesforceOperator):
    """
    Check that the pages cover the object exactly once, and write the manifest.

    :param plan: The XCom ``plan`` of the count task.
    :param results: What the page tasks returned.
    :param kwargs: See :class:`SalesforceOperator`.
    """

    template_fields: Sequence[str] = ("plan", "results", "salesforce_conn_id")
    template_fields_renderers: ClassVar[dict[str, str]] = {"plan": "json", "results": "json"}
    operator_extra_links = (ExportFolderLink(), *SalesforceOperator.operator_extra_links)
    ui_color = "#a9d8f5"

    def __init__(
        self,
        *,
        plan: dict[str, Any],
        results: Sequence[dict[str, Any]],
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.plan = plan
        self.results = results

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
        from airflow_provider_salesforce_export.export.manifest import publish
        from airflow_provider_salesforce_export.export.plan import Plan

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
                Plan.from_dict(self.plan),
                [page for result in results for page in result["pages"]],
                api_calls=self.plan["api_calls"] + sum(result["api_calls"] for result in results),
                attempt=context["ti"].try_number,
            )
        return summary(folder, manifest)


def summary(folder: Folder, manifest: Manifest) -> dict[str, Any]:
    """
    Return what the tasks after an export want to know, as a small flat dict.

    :param folder: Where the manifest stands.
    :param manifest: The manifest.
    """
    from airflow_provider_salesforce_export.export.manifest import NAME

    sums = {name: manifest[name] for name in ("object_type", "count", "rows", "bytes", "api_calls")}
    sums |= {"pages": len(manifest["pages"]), "repairs": len(manifest["repairs"])}
    return sums | {"folder": str(folder), "manifest": str(folder / NAME)}
