"""What is to be exported, and how: the arguments that all operators share which begin an export."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Literal

from airflow_provider_salesforce_export.exceptions import ConfigurationError
from airflow_provider_salesforce_export.export.formats.choices import require_installed
from airflow_provider_salesforce_export.object_types import ALL_FIELDS, ObjectType, resolve_object_type
from airflow_provider_salesforce_export.operators import arguments
from airflow_provider_salesforce_export.operators.base import (
    DEFAULT_API_QUOTA_LIMIT,
    DEFAULT_CONCURRENCY,
    SalesforceOperator,
)
from airflow_provider_salesforce_export.operators.choices import (
    DEFAULT_BULK_THRESHOLD,
    DEFAULT_BULK_TIMEOUT,
    DEFAULT_SETTLE,
    FULL_REFRESH_PARAM,
    MAX_PAGE_SIZE,
    PAGINATIONS,
    PARSERS,
)
from airflow_provider_salesforce_export.operators.folders import require_store
from airflow_provider_salesforce_export.salesforce.soql import Query


class ExportOptions(SalesforceOperator):
    """
    The arguments of an operator that begins an export: checked when the DAG is parsed, and again once rendered.

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
    :param deferrable: Whether the task waits for a job without a worker slot, whatever ``[operators]
        default_deferrable`` says.
    :param concurrency: How many pages one task reads at once.
    :param api_quota_limit: The share of the org's daily API quota above which the run waits, deferred. Templated.
    :param kwargs: See :class:`SalesforceOperator`.
    :raises ConfigurationError: An argument is not of its form; raised when the DAG is parsed, or when the task starts
        for an argument that is a template.
    """

    template_fields: Sequence[str] = ("destination", "destination_conn_id", *PARSERS, "salesforce_conn_id")
    ui_color = "#d8edfb"

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
        pagination: Literal["auto", "offset", "range"] = "auto",
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
        self.deferrable = arguments.flag("deferrable", deferrable)
        self.concurrency = arguments.whole_number("concurrency", concurrency)
        self.api_quota_limit = api_quota_limit
        if isinstance(destination, str) and not arguments.is_template(destination):
            require_store(destination)
        for name in PARSERS:
            if not arguments.is_template(getattr(self, name)):
                self.argument(name)
        deleted = not arguments.is_template(include_deleted) and self.argument("include_deleted")
        self.doc_md = self.doc_md or _describe(self.object_type, include_deleted=deleted)
        if not arguments.is_template(output_format) and not arguments.is_template(compression):
            self.require_installed()
        if self.mode == "full" and not arguments.is_template(since) and not arguments.is_template(until):
            self.refuse_window_of_full_run()
        if self.api == "bulk":
            self.refuse_pagination_of_jobs()

    def argument(self, name: str) -> Any:
        """
        Return an argument that may have been a template, as what it stands for.

        :param name: Its name.
        :raises ConfigurationError: It is not of its form.
        """
        return PARSERS[name](getattr(self, name))

    def require_installed(self) -> None:
        """Make sure that what writes the files is installed; raise ConfigurationError where it is not."""
        require_installed(self.argument("output_format"), self.argument("compression"))

    def refuse_window_of_full_run(self) -> None:
        """Raise ConfigurationError where a full run is given the ends of a window."""
        if self.argument("since") or self.argument("until"):
            raise ConfigurationError("since and until are for mode='incremental': a full run exports all records.")

    def refuse_pagination_of_jobs(self) -> None:
        """Raise ConfigurationError where a Bulk job is given a pagination."""
        if self.pagination != "auto":
            raise ConfigurationError(f"pagination={self.pagination!r} is for REST: api='bulk' has no such pages.")


def _describe(object_type: ObjectType, *, include_deleted: bool) -> str:
    names = object_type.all_fields(include_deleted=include_deleted)
    fields = ("<all fields>" if field == ALL_FIELDS else field for field in names)
    query = Query(object_type.sobject, tuple(fields)).where(object_type.where).select()
    return (
        f"Exports `{object_type.sobject}` of Salesforce as *{object_type.name}*:\n\n```sql\n{query}\n```\n\n"
        f"An incremental run adds the condition that `{object_type.cursor_field}` lies in its window."
    )
