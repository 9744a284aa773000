"""The DAG of ``make demo-celery``: contacts to an S3 bucket, in eight page tasks."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from airflow.sdk import DAG

from airflow_provider_salesforce_export import SalesforceExportTaskGroup

with DAG(
    "contacts",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
    default_args={"retries": 3, "retry_delay": timedelta(seconds=1)},
):
    SalesforceExportTaskGroup(
        "contacts", destination="s3://lake/crm", destination_conn_id="lake", page_size=200, concurrency=2
    )
