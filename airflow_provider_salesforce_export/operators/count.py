"""The first task of an export: COUNT, and the plan of the pages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_salesforce_export.hooks.salesforce_export import SalesforceExportHook
from airflow_provider_salesforce_export.operators import arguments
from airflow_provider_salesforce_export.operators.base import ExportOperatorBase
from airflow_provider_salesforce_export.operators.errors import clear_errors

if TYPE_CHECKING:
    from airflow.sdk import Context

DEFAULT_MAX_PAGE_TASKS = 8


class SalesforceExportCountOperator(ExportOperatorBase):
    """
    Count the rows, and plan the page tasks.

    Returns the work of each page task, for ``expand``; pushes what they share as XCom ``plan``.

    :param max_page_tasks: The most page tasks. Where there are more pages, a task reads several.
    :param kwargs: See :class:`ExportOperatorBase` for what is to be exported.
    """

    def __init__(self, *, max_page_tasks: int = DEFAULT_MAX_PAGE_TASKS, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.max_page_tasks = arguments.whole_number("max_page_tasks", max_page_tasks)

    def execute(self, context: Context) -> list[dict[str, Any]]:
        """
        Return ``[{"label": "pages 5-8 of 25", "segments": [...]}, ...]``; empty where there are no rows.

        :param context: The task's context.
        """
        with clear_errors(), SalesforceExportHook(self.salesforce_conn_id) as hook:
            plan, folder = self.plan_export(context, hook.client, readers=self.max_page_tasks * self.concurrency)
            api_calls = hook.client.usage.calls
        shared = plan.to_dict() | {
            "folder": str(folder),
            "destination_conn_id": self.destination_conn_id,
            "api_calls": api_calls,
        }
        context["ti"].xcom_push(key="plan", value=shared)
        return plan.tasks(self.max_page_tasks)
