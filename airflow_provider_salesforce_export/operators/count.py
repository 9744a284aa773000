"""The first task of an export: COUNT, and the plan of the pages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import conf
from airflow.providers.common.compat.version_compat import get_base_airflow_version_tuple

from airflow_provider_salesforce_export.hooks.salesforce_export import SalesforceExportHook
from airflow_provider_salesforce_export.operators import arguments
from airflow_provider_salesforce_export.operators.errors import clear_errors
from airflow_provider_salesforce_export.operators.planning import PlanningOperator
from airflow_provider_salesforce_export.operators.waiting import waiting_for_quota

if TYPE_CHECKING:
    from airflow.sdk import Context

DEFAULT_MAX_PAGE_TASKS = 8

AIRFLOW_V_3_3_PLUS = get_base_airflow_version_tuple() >= (3, 3, 0)
"""Not imported, because the common.compat provider of Airflow 3.2.0 does not know it."""

_NO_PAGES: dict[str, Any] = {"label": "no pages", "segments": []}


class SalesforceExportCountOperator(PlanningOperator):
    """
    Count the rows, and plan the page tasks.

    Returns the work of each page task, for ``expand``; pushes what they share as XCom ``plan``.

    :param max_page_tasks: The most page tasks, within Airflow's ``[core] max_map_length``. Where there are more
        pages, a task reads several.
    :param kwargs: See :class:`~airflow_provider_salesforce_export.operators.options.ExportOptions`.
    """

    def __init__(self, *, max_page_tasks: int = DEFAULT_MAX_PAGE_TASKS, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.max_page_tasks = arguments.whole_number("max_page_tasks", max_page_tasks)

    def resume(self, context: Context, event: dict[str, Any]) -> list[dict[str, Any]]:
        """
        Return ``[{"label": "pages 5-8 of 25 · rows 8,001-16,000", "segments": [...]}, ...]``; without rows, nothing.

        Before 3.3, Airflow does not run ``publish`` in a repeated run that has fewer page tasks than it had before:
        then it gets as many as it can have had, the last ones without work.

        :param context: The task's context.
        :param event: See :meth:`PlanningOperator.resume` and :meth:`PlanningOperator.plan_export`.
        """
        from airflow_provider_salesforce_export.assets import export_uri
        from airflow_provider_salesforce_export.lineage import datasets

        api_quota_limit = self.argument("api_quota_limit")
        hook = SalesforceExportHook(self.salesforce_conn_id, api_quota_limit=api_quota_limit)
        with clear_errors(), hook, waiting_for_quota(self, hook, event):
            tasks = min(self.max_page_tasks, conf.getint("core", "max_map_length"))
            readers = tasks * self.concurrency
            plan, folder = self.plan_export(context, hook.client, event, readers=readers)
            uri, org = export_uri(self.destination, self.object_type.name), hook.client.instance_url
            shared = plan.to_dict() | {
                "soql": self.soql,
                "folder": str(folder),
                "export_uri": uri,
                "datasets": datasets(self.object_type.sobject, instance_url=org, export_uri=uri, folder=folder),
                "destination_conn_id": self.destination_conn_id,
                "api_calls": hook.client.usage.calls,
            }
        context["ti"].xcom_push(key="plan", value=shared)
        work = plan.tasks(tasks)
        if context["ti"].try_number > 1 and not AIRFLOW_V_3_3_PLUS:
            work += [_NO_PAGES] * (tasks - len(work))
        return work
