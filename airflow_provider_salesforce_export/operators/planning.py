"""What the operators that begin an export share: their arguments, and the way from these to a plan."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from datetime import datetime, timedelta, timezone
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow_provider_salesforce_export.exceptions import (
    ConfigurationError,
    SalesforceExportError,
    SchemaChangedError,
)
from airflow_provider_salesforce_export.export.formats.choices import require_installed
from airflow_provider_salesforce_export.object_types import ObjectType, resolve_object_type
from airflow_provider_salesforce_export.operators import arguments
from airflow_provider_salesforce_export.operators.base import (
    DEFAULT_API_QUOTA_LIMIT,
    DEFAULT_CONCURRENCY,
    SalesforceOperator,
    open_folder,
)
from airflow_provider_salesforce_export.operators.bulk_job import await_job
from airflow_provider_salesforce_export.operators.choices import (
    DEFAULT_BULK_THRESHOLD,
    DEFAULT_BULK_TIMEOUT,
    DEFAULT_SETTLE,
    FULL_REFRESH_PARAM,
    MAX_PAGE_SIZE,
    PAGINATIONS,
    PARSERS,
)
from airflow_provider_salesforce_export.operators.errors import clear_errors
from airflow_provider_salesforce_export.operators.interval import refuse_place_of_next_run, window_of
from airflow_provider_salesforce_export.operators.waiting import wait
from airflow_provider_salesforce_export.salesforce.soql import datetime_literal

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_salesforce_export.export.destination import Folder
    from airflow_provider_salesforce_export.export.drift import SchemaChange
    from airflow_provider_salesforce_export.export.plan import Plan, Request
    from airflow_provider_salesforce_export.export.schema import Description
    from airflow_provider_salesforce_export.export.window import Window
    from airflow_provider_salesforce_export.salesforce.client import SalesforceClient


class PlanningOperator(SalesforceOperator):
    """
    Take what is to be exported, and plan it.

    :param object_type: ``"contacts"``, ``"deals"``, ``"notes"``, or an :class:`ObjectType`.
    :param destination: A folder as a URL that Airflow's ObjectStoragePath understands. Templated.
    :param destination_conn_id: The Airflow connection of the object store. Templated.
    :param page_size: Rows per page, 1 to 2000. Templated.
    :param mode: ``full``, or ``incremental``: the records of the run's data interval. Templated.
    :param full_refresh: Export all records, though ``mode`` is incremental. Templated; by default what the run's
        parameter ``full_refresh`` says.
    :param since: Start of the window of an incremental run, instead of the data interval's. Templated.
    :param until: End of that window, exclusive. Templated.
    :param lookback: How much earlier than its window an incremental run begins to read, as a timedelta or in seconds:
        consecutive windows then overlap, and hold some records twice. Templated.
    :param settle: How long after the end of its window an incremental run waits before it reads, as a timedelta or in
        seconds. It waits deferred, without a worker slot. Templated.
    :param include_deleted: Read records in the recycle bin too. Templated.
    :param output_format: ``json``, ``jsonl``, ``csv`` or ``parquet``. Templated.
    :param compression: ``gzip``, ``zstd`` or None. Templated.
    :param flatten: Write the fields of relations beside the others, as ``Account.Name``. Templated.
    :param partition_style: How the folder of a run is named: ``plain`` or ``hive``. Templated.
    :param on_schema_change: ``warn`` or ``fail``, where the fields are others than in the export before. Templated.
    :param pagination: ``auto``, ``offset`` or ``range``.
    :param api: ``auto``, ``rest`` or ``bulk``: by pages of queries, or by a job of Bulk API 2.0. ``auto`` takes a job
        from ``bulk_threshold`` rows on, where it can read the object. Templated.
    :param bulk_threshold: Rows. Templated.
    :param bulk_timeout: How long a job may take before it is aborted, as a timedelta or in seconds. Templated.
    :param deferrable: Whether the task waits for a job without a worker slot.
    :param concurrency: How many pages one task reads at once.
    :param api_quota_limit: The share of the org's daily API quota above which the run waits, deferred. Templated.
    :param kwargs: See :class:`SalesforceOperator`.
    :raises ConfigurationError: An argument is not of its form; raised when the DAG is parsed, or when the task starts
        for an argument that is a template.
    """

    template_fields: Sequence[str] = ("destination", "destination_conn_id", *PARSERS, "salesforce_conn_id")
    ui_color = "#d8edfb"
    _abort_job: Callable[[], None] | None = None

    def __init__(
        self,
        *,
        object_type: str | ObjectType,
        destination: str,
        destination_conn_id: str | None = None,
        page_size: int | str = MAX_PAGE_SIZE,
        mode: str = "full",
        full_refresh: bool | str = FULL_REFRESH_PARAM,
        since: datetime | str | None = None,
        until: datetime | str | None = None,
        lookback: timedelta | float | str = 0,
        settle: timedelta | float | str = DEFAULT_SETTLE,
        include_deleted: bool | str = False,
        output_format: str = "json",
        compression: str | None = None,
        flatten: bool | str = False,
        partition_style: str = "plain",
        on_schema_change: str = "warn",
        pagination: str = "auto",
        api: str = "auto",
        bulk_threshold: int | str = DEFAULT_BULK_THRESHOLD,
        bulk_timeout: timedelta | float | str = DEFAULT_BULK_TIMEOUT,
        deferrable: bool = True,
        concurrency: int = DEFAULT_CONCURRENCY,
        api_quota_limit: float | str = DEFAULT_API_QUOTA_LIMIT,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.object_type = resolve_object_type(object_type)
        self.destination = destination
        self.destination_conn_id = destination_conn_id
        self.page_size = page_size
        self.mode = mode
        self.full_refresh = full_refresh
        self.since = since
        self.until = until
        self.lookback = lookback
        self.settle = settle
        self.include_deleted = include_deleted
        self.output_format = output_format
        self.compression = compression
        self.flatten = flatten
        self.partition_style = partition_style
        self.on_schema_change = on_schema_change
        self.pagination = arguments.choice("pagination", pagination, PAGINATIONS)
        self.api = api
        self.bulk_threshold = bulk_threshold
        self.bulk_timeout = bulk_timeout
        self.deferrable = deferrable
        self.concurrency = arguments.whole_number("concurrency", concurrency)
        self.api_quota_limit = api_quota_limit
        for name in PARSERS:
            if not arguments.is_template(getattr(self, name)):
                self.argument(name)
        if not arguments.is_template(output_format) and not arguments.is_template(compression):
            self._require_installed()
        if self.mode == "full" and not arguments.is_template(since) and not arguments.is_template(until):
            self._refuse_window_of_full_run()
        if self.api == "bulk":
            self._refuse_pagination_of_jobs()

    def execute(self, context: Context) -> Any:
        """
        Wait until the window has settled, then do what :meth:`resume` does.

        :param context: The task's context.
        """
        with clear_errors():
            refuse_place_of_next_run(context)
            window = self._window(context)
            settle = self.argument("settle")
        if window is None:
            return self.resume(context, {"window": None})
        event = {"window": [window.start.isoformat(), window.end.isoformat()]}
        settled = window.end + settle
        if settled > datetime.now(timezone.utc):
            self.log.info(
                "The window ends at %s, and Salesforce may commit records late: reading begins at %s.",
                datetime_literal(window.end),
                datetime_literal(settled),
            )
            wait(self, settled, event)
        return self.resume(context, event)

    def resume(self, context: Context, event: dict[str, Any]) -> Any:
        """
        Export, or go on with an export that was interrupted.

        :param context: The task's context.
        :param event: What was known when the task was deferred: ``window``, both ends or None, and more.
        """
        raise NotImplementedError

    def on_kill(self) -> None:
        """Abort the Bulk job that the task waits for, if it has not come to its end."""
        if self._abort_job:
            try:
                self._abort_job()
            except SalesforceExportError as error:
                self.log.warning("The Bulk job goes on at Salesforce: %s", error)

    def plan_export(
        self, context: Context, client: SalesforceClient, event: dict[str, Any], *, readers: int
    ) -> tuple[Plan, Folder]:
        """
        Count the rows, plan the pages, and make the folder that they go to; or go on with a plan.

        It waits for the Bulk job of the plan, if there is one, and may be deferred for it.

        :param context: The task's context.
        :param client: The org.
        :param event: Start and end of the ``window``, None for a full run. What was planned is kept in it as ``plan``,
            ``segments`` and ``folder``.
        :param readers: How many threads will read at once, over all tasks.
        :raises SchemaChangedError: The fields are others than in the export before, and must not be.
        :raises QuotaReachedError: The pages would take more calls than the org has left for them.
        :raises BulkJobError: The job failed, was aborted, or takes too long.
        """
        from airflow_provider_salesforce_export.export.bulk_job import with_chunks
        from airflow_provider_salesforce_export.export.plan import Plan

        if "plan" not in event:
            plan, folder = self._start_export(context, client, event["window"], readers=readers)
            event |= _planned(plan) | {"folder": str(folder)}
        plan = Plan.from_dict(event["plan"], event["segments"])
        if plan.job and plan.job.records is None:
            self._abort_job = partial(client.bulk.abort, plan.job.id)
            await_job(self, client, plan.job, event)
            plan = with_chunks(client, plan)
            client.require_quota(len(plan.segments))
            event |= _planned(plan)
        return plan, open_folder(event["folder"], self.destination_conn_id)

    def _start_export(
        self, context: Context, client: SalesforceClient, ends: Sequence[str] | None, *, readers: int
    ) -> tuple[Plan, Folder]:
        from airflow_provider_salesforce_export.export.bulk_job import start_job
        from airflow_provider_salesforce_export.export.destination import prepare
        from airflow_provider_salesforce_export.export.drift import schema_change
        from airflow_provider_salesforce_export.export.plan import make_plan
        from airflow_provider_salesforce_export.export.window import Window

        window = None
        if ends:
            start, end = map(datetime.fromisoformat, ends)
            window = Window(start, end, self.argument("lookback"))
        self._require_installed()
        export, partition = self._place(context, window)
        folder = export / partition
        self.log.info("Destination: %s", folder)
        prepare(folder)
        run = context["dag_run"]
        run_id = f"{run.dag_id} {run.run_id} {self.task_id}"
        description = client.describe(self.object_type.sobject) if window else None
        request = self._request(window, description)
        planned = partial(make_plan, client, readers=readers, run_id=run_id, description=description)
        plan = planned(request)
        change = schema_change(plan.schema, export, partition)
        if change:
            self._report(change)
        if plan.api == "bulk":
            by_rest = partial(planned, replace(request, api="rest"))
            plan = start_job(client, plan, folder, bulk_timeout=self.argument("bulk_timeout"), by_rest=by_rest)
        client.require_quota(plan.total_pages)
        return replace(plan, schema_change=change), folder

    def _report(self, change: SchemaChange) -> None:
        from airflow_provider_salesforce_export.export.drift import describe

        if self.argument("on_schema_change") == "fail":
            raise SchemaChangedError(
                f"{describe(change)} Nothing was read. Where that is meant, run once with on_schema_change='warn': the "
                "new manifest then is what the next run is compared with."
            )
        self.log.warning("%s", describe(change))

    def argument(self, name: str) -> Any:
        """
        Return an argument that may have been a template, as what it stands for.

        :param name: Its name.
        :raises ConfigurationError: It is not of its form.
        """
        return PARSERS[name](getattr(self, name))

    def _require_installed(self) -> None:
        require_installed(self.argument("output_format"), self.argument("compression"))

    def _refuse_window_of_full_run(self) -> None:
        if self.argument("since") or self.argument("until"):
            raise ConfigurationError("since and until are for mode='incremental': a full run exports all records.")

    def _refuse_pagination_of_jobs(self) -> None:
        if self.pagination != "auto":
            raise ConfigurationError(f"pagination={self.pagination!r} is for REST: api='bulk' has no such pages.")

    def _window(self, context: Context) -> Window | None:
        full_refresh = self.argument("full_refresh")
        if self.argument("mode") == "full":
            self._refuse_window_of_full_run()
            return None
        if full_refresh:
            self.log.info("full_refresh: exporting all records.")
            return None
        return window_of(context, since=self.argument("since"), until=self.argument("until"))

    def _place(self, context: Context, window: Window | None) -> tuple[Folder, str]:
        """Return the folder of the export, and the path of the run's partition below it."""
        from airflow_provider_salesforce_export.export.partitions import NAMES

        run = context["dag_run"]
        partition = NAMES[self.argument("partition_style")](window or run.logical_date or run.run_after)
        return open_folder(self.destination, self.destination_conn_id) / self.object_type.name, partition

    def _request(self, window: Window | None, description: Description | None) -> Request:
        from airflow_provider_salesforce_export.export.cursor import choose_cursor_field
        from airflow_provider_salesforce_export.export.plan import Request
        from airflow_provider_salesforce_export.salesforce.soql import Query

        object_type, condition, effective = self.object_type, None, None
        include_deleted = self.argument("include_deleted")
        if self.argument("api") == "bulk":
            self._refuse_pagination_of_jobs()
        if window and description:
            cursor_field = choose_cursor_field(object_type, description)
            object_type = replace(object_type, cursor_field=cursor_field)
            condition = window.condition(cursor_field)
            start, end = window.as_text()
            effective = {"cursor_field": cursor_field, "start": start, "end": end}
            self.log.info("Window: %s from %s to before %s", cursor_field, start, end)
        query = Query(object_type.sobject, object_type.all_fields(include_deleted=include_deleted))
        return Request(
            object_type=object_type.name,
            query=query.where(object_type.where, condition),
            include_deleted=include_deleted,
            page_size=self.argument("page_size"),
            pagination=self.pagination,
            output_format=self.argument("output_format"),
            compression=self.argument("compression"),
            flatten=self.argument("flatten"),
            window=effective,
            api=self.argument("api"),
            bulk_threshold=self.argument("bulk_threshold"),
        )


def _planned(plan: Plan) -> dict[str, Any]:
    return {"plan": plan.to_dict(), "segments": [asdict(segment) for segment in plan.segments]}
