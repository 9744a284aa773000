"""
The exports that are compared. Each runs in a fresh process: imports first, then the work that is measured.

All of them write the same contacts to a local folder, with a token that is already there.
"""

from __future__ import annotations

import csv
import io
import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from datetime import timedelta
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import requests
from requests.adapters import HTTPAdapter

from benchmarks.measuring import in_processes, measure, report

if TYPE_CHECKING:
    from airflow_provider_salesforce_export.export.page import PageResult
    from airflow_provider_salesforce_export.export.plan import Plan

Work = Callable[[], Any]

_POLL = 0.2  # seconds


def package(job: dict[str, Any]) -> Work:
    """Return what SalesforceExportOperator does from its client to the committed manifest, without Airflow."""
    from airflow_provider_salesforce_export.export.planning import make_plan
    from airflow_provider_salesforce_export.export.publish import publish
    from airflow_provider_salesforce_export.export.segments import export_segments
    from airflow_provider_salesforce_export.salesforce.client import SalesforceClient
    from benchmarks.contacts import StaticToken, contacts_request

    threads, folder = job["threads"], Path(job["folder"])

    def work() -> dict[str, int]:
        client = SalesforceClient(StaticToken(job["token"]), pool_size=max(10, threads))
        plan = make_plan(client, contacts_request(), readers=threads, run_id="bench")
        pages = export_segments(client, plan, folder, threads=threads, attempt=1)
        publish(client, folder, plan, pages, api_calls=0)
        client.close()
        return {"ranges": len(plan.segments), "pages": plan.total_pages}

    return work


def package_bulk(job: dict[str, Any]) -> Work:
    """
    Return what the package does by Bulk API 2.0, from a complete job to the committed manifest.

    Page tasks run in processes of their own, as Airflow runs them, but with all imports done; their memory is added up.
    """
    from airflow_provider_salesforce_export.export.bulk_job import start_job, with_chunks
    from airflow_provider_salesforce_export.export.plan import Plan
    from airflow_provider_salesforce_export.export.planning import make_plan
    from airflow_provider_salesforce_export.export.publish import publish
    from airflow_provider_salesforce_export.export.segments import export_segments
    from airflow_provider_salesforce_export.salesforce.client import SalesforceClient
    from benchmarks.contacts import StaticToken, contacts_request

    tasks, threads, folder = job["page_tasks"], job["threads"], Path(job["folder"])

    def new_client() -> SalesforceClient:
        return SalesforceClient(StaticToken(job["token"]), pool_size=max(10, threads))

    client = new_client()
    planned = make_plan(client, replace(contacts_request(), api="bulk"), readers=threads, run_id="bench")
    plan = start_job(client, planned, folder, bulk_timeout=timedelta(hours=1), by_rest=lambda: planned)
    assert plan.job
    while not (complete := client.bulk.job(plan.job.id)).is_over:
        time.sleep(_POLL)

    def page_task(plan: Plan, share: dict[str, Any]) -> list[PageResult]:
        task_client = new_client()
        pages = export_segments(
            task_client, Plan.from_dict(plan.to_dict(), share["segments"]), folder, threads=threads, attempt=1
        )
        task_client.close()
        return pages

    def work() -> dict[str, int]:
        found = with_chunks(client, plan, complete)
        done, memory = in_processes([partial(page_task, found, share) for share in found.tasks(tasks)])
        pages = list(chain.from_iterable(done))
        publish(client, folder, found, pages, api_calls=0)
        client.close()
        return {"chunks": len(found.segments), "files": len(pages), "memory_of_page_tasks": memory}

    return work


def simple_salesforce_bulk2(job: dict[str, Any]) -> Work:
    """Return what one writes with simple-salesforce's bulk2: result by result from a complete job, as JSON."""
    from simple_salesforce.bulk2 import Operation

    client = _simple_salesforce(job).bulk2.Contact._client
    job_id = client.create_job(Operation.query, job["soql"])["id"]
    client.wait_for_job(job_id, is_query=True)

    def records() -> Iterator[dict[str, str]]:
        locator = None
        while locator != "":
            result = client.get_query_results(job_id, locator or "")
            locator = result["locator"]
            yield from csv.DictReader(io.StringIO(result["records"]))

    return lambda: _write_records(records(), job)


def simple_salesforce_query_all(job: dict[str, Any]) -> Work:
    """Return simple-salesforce's query_all: all records in one list, then one file."""
    client = _simple_salesforce(job)

    def work() -> None:
        _write_records(client.query_all(job["soql"])["records"], job)

    return work


def simple_salesforce_query_all_iter(job: dict[str, Any]) -> Work:
    """Return simple-salesforce's query_all_iter, written to one file record by record."""
    client = _simple_salesforce(job)

    def work() -> None:
        _write_records(client.query_all_iter(job["soql"]), job)

    return work


def floor(job: dict[str, Any]) -> Work:
    """Return the least that any export by REST must do: the page queries, known beforehand; raw replies to disk."""
    url = f"{job['token']['instance_url']}/services/data/v62.0/query"
    folder, threads = Path(job["folder"]), job["threads"]

    def work() -> None:
        with requests.Session() as session, ThreadPoolExecutor(threads) as pool:
            session.headers["Authorization"] = f"Bearer {job['token']['access_token']}"
            session.mount("http://", HTTPAdapter(pool_maxsize=threads))

            def save(page: tuple[int, str]) -> None:
                reply = session.get(url, params={"q": page[1]}, timeout=60)
                reply.raise_for_status()
                (folder / f"page-{page[0]}.json").write_bytes(reply.content)

            list(pool.map(save, enumerate(job["page_queries"])))

    return work


def _simple_salesforce(job: dict[str, Any]) -> Any:
    from simple_salesforce.api import Salesforce

    class Plain(HTTPAdapter):
        """simple-salesforce knows only https, and the org on this machine only http."""

        def send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> requests.Response:
            request.url = str(request.url).replace("https://", "http://", 1)
            return super().send(request, *args, **options)

    session = requests.Session()
    session.mount("https://", Plain())
    token = job["token"]
    return Salesforce(
        instance_url=token["instance_url"], session_id=token["access_token"], session=session, version="62.0"
    )


def _write_records(records: Any, job: dict[str, Any]) -> None:
    # json.dumps of each record: faster than json.dump, which never uses the encoder in C, and no copy of it all.
    with Path(job["folder"], "contacts.json").open("w") as file:
        separator = "["
        for record in records:
            file.write(separator + json.dumps(record))
            separator = ",\n"
        file.write("]")


CONTESTANTS: dict[str, Callable[[dict[str, Any]], Work]] = {
    "package": package,
    "package, bulk": package_bulk,
    "simple-salesforce bulk2": simple_salesforce_bulk2,
    "simple-salesforce query_all": simple_salesforce_query_all,
    "simple-salesforce query_all_iter": simple_salesforce_query_all_iter,
    "floor": floor,
}


def _compete(job: dict[str, Any]) -> dict[str, Any]:
    cost, facts = measure(CONTESTANTS[job["contestant"]](job))
    figures = {**asdict(cost), **(facts or {})}
    figures["memory"] += figures.pop("memory_of_page_tasks", 0)
    return figures


if __name__ == "__main__":
    report(_compete)
