"""What all operators of this package share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseOperator, BaseOperatorLink

from airflow_provider_salesforce_export.exceptions import ConfigurationError
from airflow_provider_salesforce_export.hooks.salesforce_export import SalesforceExportHook
from airflow_provider_salesforce_export.operators.links import ConnectionLink, PushedLink
from airflow_provider_salesforce_export.operators.retries import HAS_RETRY_POLICIES, retry_policy
from airflow_provider_salesforce_export.operators.waiting import unpacked

if TYPE_CHECKING:
    from airflow.sdk import Context

DEFAULT_CONN_ID = SalesforceExportHook.default_conn_name
DEFAULT_CONCURRENCY = 4
DEFAULT_API_QUOTA_LIMIT = 0.8
QUERY_OF_PLAN = "{{ task.plan.soql }}"
"""The query of the export, for a task to which the count task hands its plan."""


class SalesforceOperator(BaseOperator):
    """
    A task that talks to Salesforce.

    Where Airflow has retry policies and the task has none of its own, it gets the one of this package.

    :param salesforce_conn_id: An Airflow connection of type ``salesforce_export``. Templated.
    :param kwargs: As for Airflow's BaseOperator, such as ``retries`` and ``pool``.
    """

    operator_extra_links: Sequence[BaseOperatorLink] = (ConnectionLink(),)

    def __init__(self, *, salesforce_conn_id: str = DEFAULT_CONN_ID, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not salesforce_conn_id:
            raise ConfigurationError(f"salesforce_conn_id must name a connection, not {salesforce_conn_id!r}.")
        self.salesforce_conn_id = salesforce_conn_id
        if HAS_RETRY_POLICIES and self.retry_policy is None:
            self.retry_policy = retry_policy()

    def pre_execute(self, context: Any) -> None:
        """
        Keep the links that are pushed while the task runs from being overwritten when it ends.

        :param context: The task's context.
        """
        super().pre_execute(context)
        self.operator_extra_links = [link for link in self.operator_extra_links if not isinstance(link, PushedLink)]

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """
        Go on after having been deferred, with what was known then.

        :param next_method: What to call.
        :param next_kwargs: Its arguments, with the ``event`` of the trigger.
        :param context: The task's context.
        """
        if next_kwargs and "event" in next_kwargs:  # not where the trigger failed
            next_kwargs = next_kwargs | {"event": unpacked(next_kwargs["event"])}
        return super().resume_execution(next_method, next_kwargs, context)
