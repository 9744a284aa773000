"""
``make demo``: export contacts, deals and notes with Airflow, and show what came out.

In the middle of the contacts the org ends the session, so that the renewal of the token is seen.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from rich.table import Table

from airflow_provider_salesforce_export.demo.check import require_every_record_once
from airflow_provider_salesforce_export.demo.command import console, run_command
from airflow_provider_salesforce_export.demo.surroundings import (
    EXAMPLE_DAGS,
    FOLDER,
    IN_CHECKOUT,
    DemoError,
    Surroundings,
    airflow,
    as_environment,
    prepare_database,
    running,
    surroundings,
)
from airflow_provider_salesforce_export.object_types import CATALOGUE

if TYPE_CHECKING:
    from airflow_provider_salesforce_export.sandbox import SandboxOrg

LOG = FOLDER / "demo.log"
CALLS_BEFORE_THE_SESSION_ENDS = 20
COLUMNS = ("count", "pages", "rows", "bytes", "api_calls", "seconds")
OUR_LOGGERS = "airflow_provider_salesforce_export"
_UI = "make ui" if IN_CHECKOUT else f"{sys.executable} -m airflow_provider_salesforce_export.demo.ui"


def main() -> int:
    """Run the demo, and return the exit status: 0 where every record was exported exactly once."""
    return run_command(_demo, LOG)


def _demo(log: IO[str]) -> None:
    started = time.monotonic()
    console.print("[bold]Starting a MongoDB and a Salesforce org on this machine ...[/]")
    with surroundings("demo") as around:
        shutil.rmtree(around.pages, ignore_errors=True)
        org = around.org
        console.print(f"  MongoDB    {around.mongo_hosts}, with the OAuth token of a login")
        console.print(f"  Salesforce {org.url}, with {_sizes(org)}")
        console.print("[bold]Preparing Airflow's database ...[/]")
        environment = around.environment | as_environment(around.connections)
        environment["AIRFLOW__CORE__DAGS_FOLDER"] = str(EXAMPLE_DAGS)
        prepare_database(environment, log)
        for object_type in CATALOGUE.values():
            if object_type.name == "contacts":
                console.print(
                    "In the middle of the contacts the org will end the session, to show that the token is renewed."
                )
                org.expire_tokens_after(CALLS_BEFORE_THE_SESSION_ENDS)
            _run_dag(f"salesforce_{object_type.name}", environment, log)
        _show(around)
    console.print(f"Done in {time.monotonic() - started:.0f} seconds. All that was logged: {LOG}")
    console.print(f"To see it in Airflow's UI, and to trigger and backfill by hand: [bold]{_UI}[/]")


def _run_dag(dag_id: str, environment: dict[str, str], log: IO[str]) -> None:
    console.print(f"[bold]Running the DAG {dag_id} ...[/]")
    command = airflow("dags", "test", dag_id)
    with running(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        for line in process.stdout or ():
            log.write(line)
            _show_progress(line)
        if process.wait():
            raise DemoError(f"The DAG {dag_id} failed.")


def _show_progress(line: str) -> None:
    """Print the messages of this package, and warnings about anything, out of Airflow's log."""
    try:
        entry: dict[str, Any] = json.loads(line)
    except json.JSONDecodeError:
        return  # a line that is no log entry, such as a print
    if str(entry.get("logger", "")).startswith(OUR_LOGGERS):
        console.print(f"  {entry['event']}", style="yellow" if "token" in entry["event"] else None)
    elif entry.get("level") in ("error", "critical"):
        console.print(f"  {entry['event']}", style="red")


def _show(around: Surroundings) -> None:
    table = Table("Object", "COUNT", "Pages", "Rows", "Bytes", "API calls", "Seconds", title="What was exported")
    for column in table.columns[1:]:
        column.justify = "right"
    places, peeks = [], []
    for object_type in CATALOGUE.values():
        manifest_file, manifest = _manifest(around.pages / object_type.name)
        pages = [manifest_file.with_name(page["file"]) for page in manifest["pages"]]
        records = [record for page in pages for record in json.loads(page.read_bytes())["data"]]
        require_every_record_once((record["Id"] for record in records), around.org, object_type.sobject)
        numbers = [len(pages) if name == "pages" else manifest[name] for name in COLUMNS]
        table.add_row(object_type.name, *(f"{number:,}" for number in numbers))
        places.append(str(manifest_file.parent.relative_to(Path.cwd())))
        peeks.append(f"  {object_type.name}: {json.dumps(records[0], ensure_ascii=False)}")
    console.print(table)
    console.print("Every record of the org is there exactly once, by Id.")
    console.print("[bold]Where the pages are[/]", *places, sep="\n  ")
    console.print("[bold]The first record of each[/]")
    console.print(*peeks, sep="\n", markup=False)


def _manifest(folder: Path) -> tuple[Path, dict[str, Any]]:
    found = sorted(folder.glob("*/manifest.json"))
    if len(found) != 1:
        raise DemoError(f"Expected one manifest in {folder}, found {len(found)}.")
    return found[0], json.loads(found[0].read_bytes())


def _sizes(org: SandboxOrg) -> str:
    return ", ".join(f"{getattr(org.settings, name):,} {name}" for name in CATALOGUE)


if __name__ == "__main__":
    sys.exit(main())
