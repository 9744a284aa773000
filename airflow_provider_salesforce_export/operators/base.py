"""What all operators that begin an export share: their arguments, and the way from these to a plan."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseOperator

from airflow_provider_salesforce_export.exceptions import ConfigurationError
from airflow_provider_salesforce_export.hooks.connection import find_connection
from airflow_provider_salesforce_export.hooks.salesforce_export import SalesforceExportHook
from airflow_provider_salesforce_export.object_types import ObjectType, resolve_object_type
from airflow_provider_salesforce_export.operators import arguments

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_salesforce_export.export.destination import Folder
    from airflow_provider_salesforce_export.export.plan import Plan, Request
    from airflow_provider_salesforce_export.export.window import Window
    from airflow_provider_salesforce_export.salesforce.client import SalesforceClient

MODES = ("full", "incremental")
PAGINATIONS = ("auto", "offset", "range")
DEFAULT_CONN_ID = SalesforceExportHook.default_conn_name
DEFAULT_CONCURRENCY = 4
MAX_PAGE_SIZE = 2000
"""Salesforce sends no more records in one reply."""

_PARSERS: dict[str, Callable[[Any], Any]] = {
    "page_size": lambda value: arguments.whole_number("page_size", value, most=MAX_PAGE_SIZE),
    "mode": lambda value: arguments.choice("mode", value, MODES),
    "include_deleted": lambda value: arguments.flag("include_deleted", value),
    "since": lambda value: arguments.moment("since", value),
    "until": lambda value: arguments.moment("until", value),
}
"""How the arguments that may be templates are read, once rendered."""


class ExportOperatorBase(BaseOperator):
    """
    Take what is to be exported, and plan it.

    :param object_type: ``"contacts"``, ``"deals"``, ``"notes"``, or an :class:`ObjectType`.
    :param destination: A folder as a URL that Airflow's ObjectStoragePath understands. Templated.
    :param destination_conn_id: The Airflow connection of the object store. Templated.
    :param page_size: Rows per page, 1 to 2000. Templated.
    :param mode: ``full``, or ``incremental``: the records of the run's data interval. Templated.
    :param since: Start of the window of an incremental run, instead of the data interval's. Templated.
    :param until: End of that window, exclusive. Templated.
    :param include_deleted: Read records in the recycle bin too. Templated.
    :param pagination: ``auto``, ``offset`` or ``range``.
    :param concurrency: How many pages one task reads at once.
    :param salesforce_conn_id: An Airflow connection of type ``salesforce_export``. Templated.
    :raises ConfigurationError: An argument is not of its form; raised when the DAG is parsed, or when the task starts
        for an argument that is a template.
    """

    template_fields: Sequence[str] = (
        "destination",
        "destination_conn_id",
        "page_size",
        "mode",
        "since",
        "until",
        "include_deleted",
        "salesforce_conn_id",
    )
    ui_color = "#d8edfb"

    def __init__(
        self,
        *,
        object_type: str | ObjectType,
        destination: str,
        destination_conn_id: str | None = None,
        page_size: int | str = MAX_PAGE_SIZE,
        mode: str = "full",
        since: datetime | str | None = None,
        until: datetime | str | None = None,
        include_deleted: bool | str = False,
        pagination: str = "auto",
        concurrency: int = DEFAULT_CONCURRENCY,
        salesforce_conn_id: str = DEFAULT_CONN_ID,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.object_type = resolve_object_type(object_type)
        self.destination = destination
        self.destination_conn_id = destination_conn_id
        self.page_size = page_size
        self.mode = mode
        self.since = since
        self.until = until
        self.include_deleted = include_deleted
        self.pagination = arguments.choice("pagination", pagination, PAGINATIONS)
        self.concurrency = arguments.whole_number("concurrency", concurrency)
        self.salesforce_conn_id = salesforce_conn_id
        for name in _PARSERS:
            if not arguments.is_template(getattr(self, name)):
                self._argument(name)
        if self.mode == "full" and not arguments.is_template(since) and not arguments.is_template(until):
            self._refuse_window_of_full_run()

    def plan_export(self, context: Context, client: SalesforceClient, *, readers: int) -> tuple[Plan, Folder]:
        """
        Count the rows, plan the pages, and make the folder that they go to.

        :param context: The task's context.
        :param client: The org.
        :param readers: How many threads will read at once, over all tasks.
        """
        from airflow_provider_salesforce_export.export.destination import prepare
        from airflow_provider_salesforce_export.export.plan import make_plan

        window = self._window(context)
        folder = self._folder(context, window)
        self.log.info("Destination: %s", folder)
        prepare(folder)
        run = context["dag_run"]
        run_id = f"{run.dag_id} {run.run_id} {self.task_id}"
        return make_plan(client, self._request(window), readers=readers, run_id=run_id), folder

    def _refuse_window_of_full_run(self) -> None:
        if self._argument("since") or self._argument("until"):
            raise ConfigurationError("since and until are for mode='incremental': a full run exports all records.")

    def _argument(self, name: str) -> Any:
        return _PARSERS[name](getattr(self, name))

    def _window(self, context: Context) -> Window | None:
        if self._argument("mode") == "full":
            self._refuse_window_of_full_run()
            return None
        from airflow_provider_salesforce_export.export.window import Window

        run = context["dag_run"]
        start = self._argument("since") or run.data_interval_start
        end = self._argument("until") or run.data_interval_end
        if start is None or end is None:
            raise ConfigurationError(
                "This incremental run has no data interval, because it was triggered without a logical date. "
                "Trigger it with one, or set since and until, or use mode='full'."
            )
        window = Window(start, end)
        self.log.info("Window: %s from %s to before %s", self.object_type.cursor_field, *window.as_text())
        return window

    def _folder(self, context: Context, window: Window | None) -> Folder:
        from airflow_provider_salesforce_export.export.window import partition_name

        run = context["dag_run"]
        partition = window.partition_name() if window else partition_name(run.logical_date or run.run_after)
        return open_folder(self.destination, self.destination_conn_id) / self.object_type.name / partition

    def _request(self, window: Window | None) -> Request:
        from airflow_provider_salesforce_export.export.plan import Request
        from airflow_provider_salesforce_export.salesforce.soql import Query

        object_type = self.object_type
        query = Query(object_type.sobject, object_type.all_fields).where(object_type.where)
        return Request(
            object_type=object_type.name,
            query=query.where(window.condition(object_type.cursor_field)) if window else query,
            include_deleted=self._argument("include_deleted"),
            page_size=self._argument("page_size"),
            pagination=self.pagination,
            window=window.as_text() if window else None,
        )


def open_folder(url: str, conn_id: str | None) -> Folder:
    """
    Return a folder at the destination.

    :param url: A URL that ObjectStoragePath understands.
    :param conn_id: The Airflow connection of the object store, or None.
    :raises ConfigurationError: There is no such connection, or nothing that can read and write such a URL.
    """
    from airflow.sdk import ObjectStoragePath

    if conn_id:
        find_connection(conn_id, "that of the object store")  # fsspec would go on without credentials
    try:
        return ObjectStoragePath(url, conn_id=conn_id)
    except (ImportError, ValueError) as error:
        raise ConfigurationError(
            f"The destination {url!r} cannot be opened: {error}. S3 needs the extra [s3] of this package; other stores "
            "need their Airflow provider."
        ) from None
