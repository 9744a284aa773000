"""
### Deals (opportunities) from Salesforce, every night

`count` asks how many deals there are and plans the pages, `pages` read and write them, `publish` checks that none
is missing or doubled and writes `manifest.json`: read the files that it names, and no others.

By default each night exports all deals, and a backfill fills each of its days with those that changed on it. With
*mode* `full` or `incremental` (what changed in the data interval) all runs are alike.
"""

from __future__ import annotations

import os
from datetime import datetime, timedelta, timezone

from airflow.sdk import DAG
from airflow.timetables.interval import CronDataIntervalTimetable

from airflow_provider_salesforce_export import SalesforceExportTaskGroup, arguments_from_params, export_params

DESTINATION = os.getenv("SALESFORCE_EXPORT_DESTINATION", "file:///tmp/salesforce_export")

with DAG(
    "salesforce_deals",
    # Data intervals, not instants: an incremental run needs a day to read, and a plain cron string gives it none.
    schedule=CronDataIntervalTimetable("15 2 * * *", timezone="UTC"),
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
    params=export_params(DESTINATION),
    doc_md=__doc__,
    tags=["salesforce", "export"],
):
    SalesforceExportTaskGroup("deals", **arguments_from_params())
