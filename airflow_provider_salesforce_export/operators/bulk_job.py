"""How a task waits for a Bulk query job: deferred, or in its worker."""

from __future__ import annotations

import time
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from airflow_provider_salesforce_export.exceptions import BulkJobError
from airflow_provider_salesforce_export.export.words import counted
from airflow_provider_salesforce_export.operators.waiting import packed
from airflow_provider_salesforce_export.triggers.bulk_job import BulkJobTrigger, slower

if TYPE_CHECKING:
    from airflow_provider_salesforce_export.export.plan import Job
    from airflow_provider_salesforce_export.operators.planning import PlanningOperator
    from airflow_provider_salesforce_export.salesforce.bulk_job import BulkJob
    from airflow_provider_salesforce_export.salesforce.client import SalesforceClient

FIRST_DELAY = 5.0
"""Seconds; a task that is deferred for less may come back before Airflow knows that it has gone."""


def await_job(operator: PlanningOperator, client: SalesforceClient, job: Job, event: dict[str, Any]) -> BulkJob:
    """
    Return a job once it is over; abort it when its time is.

    :param operator: The operator of the task. Where it is deferrable, the task is deferred, and its ``resume`` called.
    :param client: The org.
    :param job: The job.
    :param event: What the task has done so far, as plain data.
    :raises BulkJobError: It is gone, or takes too long.
    """
    from airflow_provider_salesforce_export.export.bulk_job import deadline

    delay, bulk_timeout = FIRST_DELAY, operator.argument("bulk_timeout")
    until = deadline(job, bulk_timeout)
    while not (found := client.bulk.job(job.id)).is_over:
        if datetime.now(timezone.utc) >= until:
            client.bulk.abort(job.id)
            raise BulkJobError(
                f"The Bulk query job {job.id} was not complete after {bulk_timeout}, and was aborted: it was "
                f"{found.state}, with {counted(found.records, 'record')} so far. Its query: {job.soql}. "
                "Raise bulk_timeout, narrow the where of the object type, or use api='rest'."
            )
        latest = f"{until:%Y-%m-%d %H:%M:%S %Z}"
        operator.log.info("Waiting for the Bulk job %s, which is %s, until %s.", job.id, found.state, latest)
        if operator.deferrable:
            state = packed(event | {"api_calls": client.usage.calls})
            trigger = BulkJobTrigger(operator.salesforce_conn_id, job.id, until.isoformat(), delay, state)
            operator.defer(trigger=trigger, method_name="resume")
        time.sleep(delay)
        delay = slower(delay)
    running = datetime.now(timezone.utc) - datetime.fromisoformat(job.submitted_at)
    client.meter.time("bulk_job.duration", running.total_seconds())
    return found
