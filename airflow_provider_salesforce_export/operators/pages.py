"""The mapped task of an export: read some pages, and write them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseOperator

from airflow_provider_salesforce_export.hooks.salesforce_export import DEFAULT_POOL_SIZE, SalesforceExportHook
from airflow_provider_salesforce_export.operators.base import DEFAULT_CONCURRENCY, DEFAULT_CONN_ID, open_folder
from airflow_provider_salesforce_export.operators.errors import clear_errors

if TYPE_CHECKING:
    from airflow.sdk import Context


class SalesforceExportPagesOperator(BaseOperator):
    """
    Read the pages of one share of a plan, and write each to the destination.

    :param plan: The XCom ``plan`` of the count task.
    :param work: One entry of what the count task returns.
    :param concurrency: How many pages are read at once.
    :param salesforce_conn_id: An Airflow connection of type ``salesforce_export``. Templated.
    """

    template_fields: Sequence[str] = ("plan", "work", "salesforce_conn_id")
    ui_color = "#c5e4f9"

    def __init__(
        self,
        *,
        plan: dict[str, Any],
        work: dict[str, Any],
        concurrency: int = DEFAULT_CONCURRENCY,
        salesforce_conn_id: str = DEFAULT_CONN_ID,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.plan = plan
        self.work = work
        self.concurrency = concurrency
        self.salesforce_conn_id = salesforce_conn_id

    def execute(self, context: Context) -> dict[str, Any]:
        """
        Return ``{"run": "...", "api_calls": 3, "pages": [{"page": 5, "rows": 2000, ...}, ...]}``, never records.

        :param context: The task's context.
        """
        from airflow_provider_salesforce_export.export.page import export_segments
        from airflow_provider_salesforce_export.export.plan import Plan

        with (
            clear_errors(),
            SalesforceExportHook(self.salesforce_conn_id, pool_size=max(DEFAULT_POOL_SIZE, self.concurrency)) as hook,
        ):
            pages = export_segments(
                hook.client,
                Plan.from_dict(self.plan, self.work["segments"]),
                open_folder(self.plan["folder"], self.plan["destination_conn_id"]),
                threads=self.concurrency,
                attempt=context["ti"].try_number,
            )
            return {"run": self.plan["run"], "api_calls": hook.client.usage.calls, "pages": pages}
