"""
### Notes from Salesforce, every night

`count` asks how many notes there are and plans the pages, `pages` read and write them, `publish` checks that none
is missing or doubled and writes `manifest.json`: read the files that it names, and no others.

By default each night exports all notes, and a backfill fills each of its days with those that changed on it. With
*mode* `full` or `incremental` (what changed in the data interval) all runs are alike.
"""

from __future__ import annotations

import os
from datetime import datetime, timedelta, timezone

from airflow.sdk import DAG, Param
from airflow.timetables.interval import CronDataIntervalTimetable

from airflow_provider_salesforce_export import SalesforceExportTaskGroup

DESTINATION = os.getenv("SALESFORCE_EXPORT_DESTINATION", "file:///tmp/salesforce_export")
# Airflow's backfill form hands no parameters on by itself, and all records once for each day is seldom what is meant.
MODE = """{{
    params.mode if params.mode != "auto" else "incremental" if dag_run.run_type == "backfill" else "full"
}}"""

with DAG(
    "salesforce_notes",
    # Data intervals, not instants: an incremental run needs a day to read, and a plain cron string gives it none.
    schedule=CronDataIntervalTimetable("30 2 * * *", timezone="UTC"),
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
    catchup=False,
    max_active_runs=1,
    default_args={
        "retries": 3,
        "retry_delay": timedelta(minutes=1),
        "retry_exponential_backoff": True,
        "max_retry_delay": timedelta(minutes=30),
        "pool": "default_pool",  # a pool of its own bounds how many tasks meet the org at once
    },
    params={
        "destination": Param(
            DESTINATION,
            type="string",
            title="Destination",
            description="Folder or bucket, as a URL, such as s3://aws_default@lake/salesforce.",
        ),
        "page_size": Param(
            2000,
            type="integer",
            minimum=1,
            maximum=2000,
            title="Page size",
            description="Most rows in a page, from 1 to 2000. Smaller pages take more API calls.",
        ),
        "mode": Param(
            "auto",
            type="string",
            enum=["auto", "full", "incremental"],
            title="Mode",
            description="full: all records. incremental: what changed in the run's data interval. "
            "auto: incremental in a backfill, full in all other runs.",
        ),
        "output_format": Param(
            "json",
            type="string",
            enum=["json", "jsonl", "csv", "parquet"],
            title="Format",
            description="Of the files. json: the records in an envelope. jsonl: one record on each line.",
        ),
        "compression": Param(
            None,
            type=["null", "string"],
            enum=[None, "gzip", "zstd"],
            values_display={"null": "none"},
            title="Compression",
            description="Of the files: .gz or .zst is added to their names.",
        ),
        "include_deleted": Param(
            False,
            type="boolean",
            title="Include deleted",
            description="Export what is in the recycle bin too; IsDeleted tells it apart.",
        ),
    },
    doc_md=__doc__,
    tags=["salesforce", "export"],
):
    SalesforceExportTaskGroup(
        "notes",
        destination="{{ params.destination }}",
        page_size="{{ params.page_size }}",
        mode=MODE,
        output_format="{{ params.output_format }}",
        compression="{{ params.compression }}",
        include_deleted="{{ params.include_deleted }}",
    )
