"""The mapped task of an export: read some pages, and write them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_salesforce_export.hooks.salesforce_export import DEFAULT_POOL_SIZE, SalesforceExportHook
from airflow_provider_salesforce_export.operators import arguments
from airflow_provider_salesforce_export.operators.base import (
    DEFAULT_API_QUOTA_LIMIT,
    DEFAULT_CONCURRENCY,
    QUERY_OF_PLAN,
    SalesforceOperator,
)
from airflow_provider_salesforce_export.operators.errors import clear_errors
from airflow_provider_salesforce_export.operators.folders import open_folder
from airflow_provider_salesforce_export.operators.links import BulkJobLink, ExportFolderLink
from airflow_provider_salesforce_export.operators.waiting import waiting_for_quota

if TYPE_CHECKING:
    from airflow.sdk import Context


class SalesforceExportPagesOperator(SalesforceOperator):
    """
    Read the pages of one share of a plan, and write each to the destination.

    :param plan: The XCom ``plan`` of the count task.
    :param work: One entry of what the count task returns.
    :param concurrency: How many pages are read at once.
    :param api_quota_limit: The share of the org's daily API quota above which the task waits, deferred. Templated.
    :param kwargs: See :class:`SalesforceOperator`.
    """

    # The query comes after the plan, in which it is looked up.
    template_fields: Sequence[str] = ("plan", "soql", "work", "api_quota_limit", "salesforce_conn_id")
    template_fields_renderers: ClassVar[dict[str, str]] = {"plan": "json", "soql": "sql", "work": "json"}
    operator_extra_links = (ExportFolderLink(), BulkJobLink(), *SalesforceOperator.operator_extra_links)
    soql = QUERY_OF_PLAN
    ui_color = "#c5e4f9"

    def __init__(
        self,
        *,
        plan: dict[str, Any],
        work: dict[str, Any],
        concurrency: int = DEFAULT_CONCURRENCY,
        api_quota_limit: float | str = DEFAULT_API_QUOTA_LIMIT,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.plan = plan
        self.work = work
        self.concurrency = concurrency
        self.api_quota_limit = api_quota_limit

    def execute(self, context: Context) -> dict[str, Any]:
        """
        Return ``{"run": "...", "api_calls": 3, "pages": [{"page": 5, "rows": 2000, ...}, ...]}``, never records.

        :param context: The task's context.
        """
        return self.resume(context, {"pages": []})

    def resume(self, context: Context, event: dict[str, Any]) -> dict[str, Any]:
        """
        Read the pages that are not yet read; return all of them, as :meth:`execute` does.

        :param context: The task's context.
        :param event: The ``pages`` that this task has written before it was deferred.
        """
        from airflow_provider_salesforce_export.export.plan import Plan
        from airflow_provider_salesforce_export.export.segments import export_segments

        hook = SalesforceExportHook(
            self.salesforce_conn_id,
            pool_size=max(DEFAULT_POOL_SIZE, self.concurrency),
            api_quota_limit=arguments.share("api_quota_limit", self.api_quota_limit),
        )
        with clear_errors(), hook, waiting_for_quota(self, hook, event):
            plan = Plan.from_dict(self.plan, self.work["segments"])
            folder = open_folder(self.plan["folder"], self.plan["destination_conn_id"])
            ExportFolderLink.push(context, folder)
            if plan.job:
                BulkJobLink.push(context, hook.client, plan.job.id)
            pages = export_segments(
                hook.client,
                plan,
                folder,
                threads=self.concurrency,
                attempt=context["ti"].try_number,
                done=event["pages"],
            )
            return {"run": self.plan["run"], "api_calls": hook.client.usage.calls, "pages": pages}
