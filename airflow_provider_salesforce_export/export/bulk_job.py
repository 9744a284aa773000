"""
The Bulk query job of an export: submitted once for a DAG run, whatever becomes of its workers.

Its Id is written to a file in the export's folder as soon as Salesforce has named it. A later try of the run takes the
job up again, from wherever it is by then; one that does without deletes it. A worker that dies between the two leaves a
job that nobody knows of; Salesforce deletes it after seven days. Airflow 3.3 has a state of tasks and a mixin for jobs
that are resumed; the file does without, since it is there in Airflow 3.2 and for the command as well, and outlives the
clearing of its task.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

import msgspec

from airflow_provider_salesforce_export.exceptions import (
    BulkJobError,
    ConfigurationError,
    DestinationError,
    QueryError,
    SalesforceError,
)
from airflow_provider_salesforce_export.export import destination
from airflow_provider_salesforce_export.export.bulk_rows import bulk_fields
from airflow_provider_salesforce_export.export.plan import Job, Segment
from airflow_provider_salesforce_export.export.words import counted
from airflow_provider_salesforce_export.salesforce.session import is_other

if TYPE_CHECKING:
    from airflow_provider_salesforce_export.export.destination import Folder
    from airflow_provider_salesforce_export.export.plan import Plan
    from airflow_provider_salesforce_export.salesforce.bulk_job import BulkJob
    from airflow_provider_salesforce_export.salesforce.client import SalesforceClient

log = logging.getLogger(__name__)

_NAME = ".bulk-job"


def start_job(
    client: SalesforceClient,
    plan: Plan,
    folder: Folder,
    *,
    bulk_timeout: timedelta,
    by_rest: Callable[[], Plan],
) -> Plan:
    """
    Return a plan with its Bulk job, submitted now or by an earlier try of the DAG run.

    :param client: The org.
    :param plan: The plan.
    :param folder: Where the export goes.
    :param bulk_timeout: How long a job may take.
    :param by_rest: Makes the plan to be returned instead where Bulk API 2.0 refuses the query, and was not asked for.
    :raises QueryError: Bulk API 2.0 refuses the query, and was asked for, or REST cannot read it either.
    :raises SalesforceError: See :mod:`airflow_provider_salesforce_export.exceptions`.
    """
    try:
        return replace(plan, job=_job(client, plan, folder, bulk_timeout))
    except (QueryError, ConfigurationError) as error:
        if plan.request.api == "bulk" or not plan.is_countable:
            raise
        try:
            plan = by_rest()
        except ConfigurationError:
            raise error from None  # a query that is too long for REST
        reason = f"Bulk API 2.0 refuses the query: {error}"
        log.warning("Reading by REST, because %s", reason)
        return replace(plan, api_reason=reason)


def with_chunks(client: SalesforceClient, plan: Plan, found: BulkJob) -> Plan:
    """
    Return the plan with the chunks of its job's results as its segments.

    :param client: The org.
    :param plan: The plan.
    :param found: Its job, which is over.
    :raises BulkJobError: It failed, was aborted, or is gone.
    """
    assert plan.job
    found.require_success(plan.job.soql)
    # Without records, Salesforce may answer that there is no result, as before a job is complete. Where records were
    # counted, that is asked again rather than believed: a try that follows counts anew.
    results = client.bulk.result_pages(plan.job.id) if found.records or plan.total else []
    chunks = [Segment(first_page=result.number + 1, pages=1, rows_before=0, chunk=result.path) for result in results]
    log.info(
        "The Bulk job %s found %s, in %s.", found.id, counted(found.records, "record"), counted(len(chunks), "chunk")
    )
    job = replace(plan.job, records=found.records)
    total = plan.total if plan.is_countable else found.records
    return replace(plan, job=job, total=total, total_pages=len(chunks), segments=tuple(chunks))


def deadline(job: Job, bulk_timeout: timedelta) -> datetime:
    """
    Return until when a job may take, and is taken up again.

    :param job: The job.
    :param bulk_timeout: How long it may take.
    """
    return datetime.fromisoformat(job.submitted_at) + bulk_timeout


def delete_job(client: SalesforceClient, plan: Plan) -> None:
    """
    Delete the job of a plan, if it has one. Where it cannot be deleted, Salesforce does so after seven days.

    :param client: The org.
    :param plan: The plan.
    """
    if plan.job:
        try:
            client.bulk.delete(plan.job.id)
        except SalesforceError as error:
            log.warning("The Bulk job %s stays at Salesforce for now: %s", plan.job.id, error)


def abandon_job(client: SalesforceClient, plan: Plan, folder: Folder) -> None:
    """
    Abort and delete the job that an earlier try of the DAG run has submitted, if there is one.

    :param client: The org.
    :param plan: The plan of this try, which needs no job.
    :param folder: Where the export goes.
    """
    job = _noted_job(plan, folder)
    if job:
        log.info("Giving up the Bulk job %s of an earlier try: this one reads by REST.", job.id)
        _give_up(client, plan, job)


def _give_up(client: SalesforceClient, plan: Plan, job: Job) -> None:
    """Abort and delete a job; where the org refuses, because it is another user's, it stays for seven days."""
    try:
        client.bulk.abort(job.id)
    except SalesforceError as error:
        log.warning("The Bulk job %s goes on at Salesforce: %s", job.id, error)
    delete_job(client, replace(plan, job=job))


def _job(client: SalesforceClient, plan: Plan, folder: Folder, bulk_timeout: timedelta) -> Job:
    """Return the job that an earlier try of the DAG run has submitted, or submit one."""
    query, include_deleted = plan.request.query, plan.request.include_deleted
    soql = replace(query, fields=bulk_fields(query.fields)).select(ordered=False)
    job = _noted_job(plan, folder)
    if job:
        same_query = (job.soql, job.include_deleted) == (soql, include_deleted)
        fits = same_query and not is_other(job.identity, plan.identity)
        if fits and datetime.now(timezone.utc) < deadline(job, bulk_timeout) and _is_alive(client, job):
            log.info("Going on with the Bulk job %s, which an earlier try submitted at %s.", job.id, job.submitted_at)
            return job
        _give_up(client, plan, job)
    submitted_at = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
    job_id = client.bulk.submit(soql, include_deleted=include_deleted)
    job = Job(job_id, soql, include_deleted, submitted_at, identity=plan.identity)
    try:
        unfinished = f"{_NAME}-{plan.run_key}.tmp"
        with destination.writing(_note(plan, folder), msgspec.json.encode(asdict(job)), unfinished=unfinished):
            pass
    except DestinationError:
        client.bulk.abort(job_id)
        raise
    log.info("Submitted the Bulk job %s: %s", job_id, soql)
    return job


def _note(plan: Plan, folder: Folder) -> Folder:
    return folder / f"{_NAME}-{plan.run_key}.json"


def _noted_job(plan: Plan, folder: Folder) -> Job | None:
    content = destination.read_if_there(_note(plan, folder))
    return msgspec.json.decode(content, type=Job) if content else None


def _is_alive(client: SalesforceClient, job: Job) -> bool:
    try:
        found = client.bulk.job(job.id)
        found.require_success(job.soql)
    except BulkJobError as error:
        log.warning("An earlier try has submitted a job that is of no use: %s", error)
        return False
    return True
