"""SalesforceExportTaskGroup: count >> pages >> publish, for one object type."""

from __future__ import annotations

from datetime import datetime, timedelta
from inspect import signature
from typing import TYPE_CHECKING, Any, Literal, cast

from airflow.sdk import TaskGroup, XComArg

from airflow_provider_salesforce_export.exceptions import ConfigurationError
from airflow_provider_salesforce_export.object_types import ObjectType, resolve_object_type
from airflow_provider_salesforce_export.operators.base import (
    DEFAULT_API_QUOTA_LIMIT,
    DEFAULT_CONCURRENCY,
    DEFAULT_CONN_ID,
)
from airflow_provider_salesforce_export.operators.choices import (
    DEFAULT_BULK_THRESHOLD,
    DEFAULT_BULK_TIMEOUT,
    DEFAULT_SETTLE,
    FULL_REFRESH_PARAM,
    MAX_PAGE_SIZE,
)
from airflow_provider_salesforce_export.operators.count import (
    DEFAULT_MAX_PAGE_TASKS,
    SalesforceExportCountOperator,
)
from airflow_provider_salesforce_export.operators.pages import SalesforceExportPagesOperator
from airflow_provider_salesforce_export.operators.publish import SalesforceExportPublishOperator

if TYPE_CHECKING:
    from airflow.sdk import Asset, AssetAlias


class SalesforceExportTaskGroup(TaskGroup):
    """
    Export one object type: ``count`` plans, ``pages`` (mapped) read and write, ``publish`` checks and commits.

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
    :param pagination: ``auto``; or ``offset`` (LIMIT/OFFSET, for small objects) or ``range`` (by Id).
    :param api: ``auto``, ``rest`` or ``bulk``: by pages of queries, or by a job of Bulk API 2.0. ``auto`` takes a job
        from ``bulk_threshold`` rows on, where it can read the object. Templated.
    :param bulk_threshold: Rows. Templated.
    :param bulk_timeout: How long a job may take before it is aborted, as a timedelta or in seconds. Templated.
    :param deferrable: Whether ``count`` waits for a job without a worker slot, whatever ``[operators]
        default_deferrable`` says.
    :param max_page_tasks: The most page tasks, within Airflow's ``[core] max_map_length``. Where there are more
        pages, a task reads several.
    :param concurrency: How many pages one task reads at once.
    :param api_quota_limit: The share of the org's daily API quota above which the run waits, deferred. Templated.
    :param salesforce_conn_id: An Airflow connection of type ``salesforce_export``. Templated.
    :param group_id: The id of the group; the name of the object type by default.
    :param kwargs: As for Airflow's TaskGroup, such as ``default_args`` with the retries.
    :ivar count: The task that plans.
    :ivar pages: The mapped task that reads and writes.
    :ivar publish: The task that commits.
    :raises ConfigurationError: An argument is not of its form.
    """

    def __init__(
        self,
        object_type: str | ObjectType,
        *,
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
        pagination: Literal["auto", "offset", "range"] = "auto",
        api: str = "auto",
        bulk_threshold: int | str = DEFAULT_BULK_THRESHOLD,
        bulk_timeout: timedelta | float | str = DEFAULT_BULK_TIMEOUT,
        deferrable: bool = True,
        max_page_tasks: int = DEFAULT_MAX_PAGE_TASKS,
        concurrency: int = DEFAULT_CONCURRENCY,
        api_quota_limit: float | str = DEFAULT_API_QUOTA_LIMIT,
        salesforce_conn_id: str = DEFAULT_CONN_ID,
        group_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        if unknown := kwargs.keys() - signature(TaskGroup.__init__).parameters:
            raise ConfigurationError(
                f"SalesforceExportTaskGroup has no argument {', '.join(sorted(unknown))}. Those of all Airflow "
                "tasks, such as retries and pool, go into default_args={...}."
            )
        object_type = resolve_object_type(object_type)
        kwargs.setdefault("tooltip", f"Export {object_type.sobject} from Salesforce")
        super().__init__(group_id or object_type.name, **kwargs)
        self.count = SalesforceExportCountOperator(
            task_id="count",
            task_group=self,
            object_type=object_type,
            destination=destination,
            destination_conn_id=destination_conn_id,
            page_size=page_size,
            mode=mode,
            full_refresh=full_refresh,
            since=since,
            until=until,
            lookback=lookback,
            settle=settle,
            include_deleted=include_deleted,
            output_format=output_format,
            compression=compression,
            flatten=flatten,
            partition_style=partition_style,
            on_schema_change=on_schema_change,
            pagination=pagination,
            api=api,
            bulk_threshold=bulk_threshold,
            bulk_timeout=bulk_timeout,
            deferrable=deferrable,
            max_page_tasks=max_page_tasks,
            concurrency=concurrency,
            api_quota_limit=api_quota_limit,
            salesforce_conn_id=salesforce_conn_id,
        )
        plan: Any = XComArg(self.count, key="plan")
        self.pages = SalesforceExportPagesOperator.partial(
            task_id="pages",
            task_group=self,
            map_index_template="{{ task.work.label }}",
            doc_md=self.count.doc_md,
            plan=plan,
            concurrency=concurrency,
            api_quota_limit=api_quota_limit,
            salesforce_conn_id=salesforce_conn_id,
        ).expand(work=self.count.output)
        self.publish = SalesforceExportPublishOperator(
            task_id="publish",
            task_group=self,
            # Without rows there is no page task: it counts as skipped, and the manifest must be written all the same.
            # Where the whole group is skipped, by a branch before it, no task of it succeeds.
            trigger_rule="none_failed_min_one_success",
            doc_md=self.count.doc_md,
            object_type=object_type,
            destination=destination,
            plan=plan,
            results=cast("Any", self.pages.output),
            salesforce_conn_id=salesforce_conn_id,
        )

    @property
    def asset(self) -> Asset | AssetAlias:
        """
        Return what to schedule a DAG on that works with this export: each that is published is an event of it.

        See :func:`airflow_provider_salesforce_export.assets.export_asset`, which says the same in another file.
        """
        return self.publish.asset

    @property
    def output(self) -> Any:
        """
        Return what ``publish`` returns, as an XComArg to hand to a task, which then runs after the export.

        That task receives ``{"object_type": "contacts", "rows": 4001, "count": 4001, "pages": 3, "bytes": 901234,
        "api_calls": 7, "repairs": 0, "folder": "...", "manifest": "..."}``, the last two as URLs. The type is Any,
        as Airflow's task functions are annotated with what they receive, not with XComArg.
        """
        return self.publish.output
