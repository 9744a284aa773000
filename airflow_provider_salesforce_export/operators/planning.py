"""From the arguments of an export to its plan: how the operators begin that export."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from datetime import datetime, timezone
from functools import cache, partial
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_salesforce_export.exceptions import SalesforceExportError, SchemaChangedError
from airflow_provider_salesforce_export.operators.bulk_job import await_job
from airflow_provider_salesforce_export.operators.errors import clear_errors
from airflow_provider_salesforce_export.operators.folders import open_folder
from airflow_provider_salesforce_export.operators.interval import refuse_place_of_next_run, window_of
from airflow_provider_salesforce_export.operators.links import BulkJobLink, ExportFolderLink
from airflow_provider_salesforce_export.operators.options import ExportOptions
from airflow_provider_salesforce_export.operators.waiting import wait
from airflow_provider_salesforce_export.salesforce.soql import datetime_literal, in_lines

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_salesforce_export.export.destination import Folder
    from airflow_provider_salesforce_export.export.drift import SchemaChange
    from airflow_provider_salesforce_export.export.plan import Plan, Request
    from airflow_provider_salesforce_export.export.schema import Describe
    from airflow_provider_salesforce_export.export.window import Window
    from airflow_provider_salesforce_export.salesforce.client import SalesforceClient


class PlanningOperator(ExportOptions):
    """
    Count what is to be exported, and plan it.

    :param kwargs: See :class:`~airflow_provider_salesforce_export.operators.options.ExportOptions`.
    """

    template_fields: Sequence[str] = ("soql", *ExportOptions.template_fields)
    template_fields_renderers: ClassVar[dict[str, str]] = {"soql": "sql"}
    overwrite_rtif_after_execution = True  # the query is known once the window and the fields are
    operator_extra_links = (ExportFolderLink(), BulkJobLink(), *ExportOptions.operator_extra_links)
    soql: str | None = None
    _abort_job: Callable[[], None] | None = None

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
        :raises LoginChangedError: The login is another than when the rows were counted.
        """
        from airflow_provider_salesforce_export.export.bulk_job import with_chunks
        from airflow_provider_salesforce_export.export.plan import Plan

        if "plan" not in event:
            plan, folder = self._start_export(context, client, event, readers=readers)
            event |= _planned(plan) | {"folder": str(folder)}
        folder = open_folder(event["folder"], self.destination_conn_id)
        ExportFolderLink.push(context, folder)
        plan = Plan.from_dict(event["plan"], event["segments"])
        client.require_identity(plan.identity)
        self.soql = in_lines(plan.soql)
        if plan.job:
            self._abort_job = partial(client.bulk.abort, plan.job.id)
            BulkJobLink.push(context, client, plan.job.id)
        if plan.job and plan.job.records is None:
            plan = with_chunks(client, plan, await_job(self, client, plan.job, event))
            client.require_quota(len(plan.segments))
            event |= _planned(plan)
        return plan, folder

    def _start_export(
        self, context: Context, client: SalesforceClient, event: dict[str, Any], *, readers: int
    ) -> tuple[Plan, Folder]:
        from airflow_provider_salesforce_export.export.bulk_job import abandon_job, start_job
        from airflow_provider_salesforce_export.export.destination import prepare
        from airflow_provider_salesforce_export.export.drift import schema_change
        from airflow_provider_salesforce_export.export.gap import gap_before
        from airflow_provider_salesforce_export.export.planning import make_plan
        from airflow_provider_salesforce_export.export.window import Window

        window = None
        if event["window"]:
            start, end = map(datetime.fromisoformat, event["window"])
            window = Window(start, end, self.argument("lookback"))
        self.require_installed()
        export, partition = self._place(context, window)
        folder = export / partition
        self.log.info("Destination: %s", folder)
        prepare(folder)
        run = context["dag_run"]
        if window and not self.argument("since") and run.run_type != "backfill":  # whose days are made in any order
            self._warn_of_gap(run.dag_id, gap_before(window, export, partition))
        run_id = f"{run.dag_id} {run.run_id} {self.task_id}"
        describe = cache(client.describe)
        request = self._request(window, describe)
        if window:
            window.require_end(client.said_at)
        planned = partial(make_plan, client, readers=readers, run_id=run_id, describe=describe)
        plan = planned(request)
        change = schema_change(plan.schema, export, partition)
        if change:
            self._report(change)
        if plan.api == "bulk":
            by_rest = partial(planned, replace(request, api="rest"))
            plan = start_job(client, plan, folder, bulk_timeout=self.argument("bulk_timeout"), by_rest=by_rest)
        elif context["ti"].try_number > 1 or "quota_waits" in event:  # then this is not the first time that it plans
            abandon_job(client, plan, folder)
        client.require_quota(plan.total_pages)
        return replace(plan, schema_change=change), folder

    def _warn_of_gap(self, dag_id: str, gap: tuple[datetime, datetime] | None) -> None:
        if gap:
            start, end = map(datetime_literal, gap)
            self.log.warning(
                "The exports before this one reach to %s, and it begins at %s: what changed in between is in none of "
                "them, unless a run is still to export it. Airflow leaves out what passes while a DAG is paused, if "
                "its catchup is off. To export it: airflow backfill create --dag-id %s --from-date %s --to-date %s",
                start,
                end,
                dag_id,
                start,
                end,
            )

    def _report(self, change: SchemaChange) -> None:
        from airflow_provider_salesforce_export.export.drift import describe

        if self.argument("on_schema_change") == "fail":
            raise SchemaChangedError(
                f"{describe(change)} Nothing was read. Where that is meant, run once with on_schema_change='warn': the "
                "new manifest then is what the next run is compared with."
            )
        self.log.warning("%s", describe(change))

    def _window(self, context: Context) -> Window | None:
        full_refresh = self.argument("full_refresh")
        if self.argument("mode") == "full":
            self.refuse_window_of_full_run()
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

    def _request(self, window: Window | None, describe: Describe) -> Request:
        from airflow_provider_salesforce_export.export.cursor import choose_cursor_field
        from airflow_provider_salesforce_export.export.plan import Request
        from airflow_provider_salesforce_export.export.window import WindowRead
        from airflow_provider_salesforce_export.salesforce.soql import Query

        object_type, condition, effective = self.object_type, None, None
        include_deleted = self.argument("include_deleted")
        if self.argument("api") == "bulk":
            self.refuse_pagination_of_jobs()
        if window:
            cursor_field = choose_cursor_field(object_type, describe(object_type.sobject))
            object_type = replace(object_type, cursor_field=cursor_field)
            condition = window.condition(cursor_field)
            start, end = window.as_text()
            effective = WindowRead(cursor_field=cursor_field, start=start, end=end)
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
            optional_fields=object_type.optional_fields(include_deleted=include_deleted),
        )


def _planned(plan: Plan) -> dict[str, Any]:
    return {"plan": plan.to_dict(), "segments": [asdict(segment) for segment in plan.segments]}
