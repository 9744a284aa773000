"""What Airflow itself adds: seconds per mapped page task, and seconds to parse a DAG file."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.measuring import report, run_fresh
from benchmarks.org import Org, running_org
from benchmarks.targets import best_of

_PAGE_SIZE = 100
_PAGES = 25
_CONTACTS = 2_370  # fill 25 pages of 100 but for a twentieth, as ranges are planned
_RUNS = 3
_PARSES = 2


def task_cost() -> dict[str, Any]:
    """
    Return the seconds of two runs by ``dag.test()`` of one export, and what a page task more costs.

    Both read the same pages from an org without latency: once in one page task, once in a task for each page.
    """
    from airflow_provider_salesforce_export.sandbox.mongod import running_mongod

    with (
        tempfile.TemporaryDirectory(prefix="bench-") as home,
        running_mongod() as mongo_uri,
        running_org(contacts=_CONTACTS, latency=0) as org,
    ):
        environment = _environment(home) | _connections(org, mongo_uri)
        migrate = [sys.executable, "-m", "airflow", "db", "migrate"]
        subprocess.run(migrate, env={**os.environ, **environment}, check=True, capture_output=True)
        return run_fresh("benchmarks.airflow_cost", {"folder": home}, environment)


def parse_cost(dags: Path) -> dict[str, float]:
    """
    Return the CPU seconds that each DAG file takes to run in a fresh process, above ``import airflow.sdk``.

    :param dags: Their folder.
    """
    script = (
        "import runpy, sys, time; import airflow.sdk; started = time.process_time(); runpy.run_path(sys.argv[1]); "
        "print(time.process_time() - started)"
    )
    with tempfile.TemporaryDirectory(prefix="bench-") as home:
        environment = {**os.environ, **_environment(home)}

        def seconds(file: Path) -> float:
            done = subprocess.run(
                [sys.executable, "-c", script, str(file)], env=environment, check=True, capture_output=True, text=True
            )
            return float(done.stdout.splitlines()[-1])

        bare = Path(home, "(the same tasks by decorators)")
        bare.write_text(_BARE_DAG)
        return {
            file.name: round(min(seconds(file) for _ in range(_PARSES)), 4)
            for file in (bare, *sorted(dags.glob("*.py")))
        }


_BARE_DAG = """
from airflow.sdk import DAG, TaskGroup, task
from airflow.timetables.interval import CronDataIntervalTimetable

with DAG("bare", schedule=CronDataIntervalTimetable("0 2 * * *", timezone="UTC")), TaskGroup("contacts"):

    @task
    def count():
        pass

    @task
    def pages(work):
        pass

    @task
    def publish(results):
        pass

    publish(pages.expand(work=count()))
"""


def _environment(home: str) -> dict[str, str]:
    return {
        "AIRFLOW_HOME": home,
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_FOLDER": str(Path(home, "dags")),
    }


def _connections(org: Org, mongo_uri: str) -> dict[str, str]:
    from airflow_provider_salesforce_export.sandbox import SandboxSettings

    settings = SandboxSettings()
    connection = {
        "conn_type": "salesforce_export",
        "host": org.url,
        "login": settings.client_id,
        "password": settings.client_secret,
        "extra": {
            "grant_type": "password",
            "username": settings.username,
            "user_password": settings.password,
            "security_token": settings.security_token,
            "key_database": "salesforce_export_bench",
        },
    }
    return {
        "AIRFLOW_CONN_SALESFORCE_EXPORT_DEFAULT": json.dumps(connection),
        "AIRFLOW_CONN_MONGO_DEFAULT": mongo_uri.replace("mongodb://", "mongo://"),
    }


def _run_dags(job: dict[str, Any]) -> dict[str, Any]:
    """Run, in a fresh process, the export in one page task and in many."""
    from airflow.dag_processing.bundles.manager import DagBundlesManager

    DagBundlesManager().sync_bundles_to_db()
    one = _dag("one", job["folder"], max_page_tasks=1, concurrency=_PAGES)
    many = _dag("many", job["folder"], max_page_tasks=_PAGES, concurrency=1)
    _run(one)  # dag.test() starts an Execution API in its process at first
    runs = [best_of([_run(dag) for _ in range(_RUNS)]) for dag in (one, many)]
    more = {name: runs[1][name] - runs[0][name] for name in runs[0]}
    return {"runs": runs, "per_task": {name: round(more[name] / more["page_tasks"], 4) for name in ("seconds", "cpu")}}


def _dag(name: str, folder: str, **options: int) -> Any:
    from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db
    from airflow.sdk import DAG

    from airflow_provider_salesforce_export import SalesforceExportTaskGroup

    with DAG(name, schedule=None) as dag:
        SalesforceExportTaskGroup(
            "contacts",
            destination=Path(folder, name).as_uri(),
            page_size=_PAGE_SIZE,
            pagination="range",
            **options,  # type: ignore[arg-type]
        )
    bag = DagBag(dag_folder=os.devnull)
    bag.bag_dag(dag)
    sync_bag_to_db(bag, "dags-folder", None)
    return dag


def _run(dag: Any) -> dict[str, Any]:
    """Return how long a run took, and how many page tasks it had."""
    cpu, started = time.process_time(), time.perf_counter()
    run = dag.test()
    seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    if run.state != "success":
        raise RuntimeError(f"The run of {dag.dag_id} ended as {run.state}.")
    page_tasks = sum(task.task_id == "contacts.pages" for task in run.get_task_instances())
    return {"seconds": round(seconds, 3), "cpu": round(cpu, 3), "page_tasks": page_tasks}


if __name__ == "__main__":
    report(_run_dags)
