"""
### The exported contacts into SQLite, whenever an export is published

Scheduled on the asset of the contacts: each export that *salesforce_contacts* publishes in the default destination
starts a run, which loads the files that its manifest names, of whatever format, and no others. Several exports that
are published while a run is at work are loaded together by the next one.

The table `contacts` has the columns of the export, and `_partition`, the folder of its run. Loading an export replaces
what was loaded of the same folder, in one transaction: a run may be repeated, and a window may be backfilled again.
All contacts as of the last full export:

```sql
SELECT * FROM contacts WHERE _partition =
    (SELECT max(_partition) FROM contacts WHERE _partition NOT LIKE '%--%')
```

To load one export by hand, trigger this with its *manifest*. SQLite is one file, on the worker that runs this: with
many workers, put your own database in its place.
"""

from __future__ import annotations

import json
import logging
import os
import sqlite3
from contextlib import closing
from datetime import timedelta

from airflow.sdk import DAG, ObjectStoragePath, Param, get_current_context, task
from airflow.sdk.exceptions import AirflowFailException

from airflow_provider_salesforce_export import export_asset

DESTINATION = os.getenv("SALESFORCE_EXPORT_DESTINATION", "file:///tmp/salesforce_export")
DATABASE = os.getenv("SALESFORCE_EXPORT_SQLITE", "/tmp/salesforce_export.sqlite")
CONTACTS = export_asset("contacts", DESTINATION)

log = logging.getLogger(__name__)

TYPES = {"boolean": "INTEGER", "int": "INTEGER", "double": "REAL", "currency": "REAL", "percent": "REAL"}


@task
def load() -> dict[str, int]:
    """Load what was exported since the last run; return how many rows of which manifest."""
    context = get_current_context()
    params, events = context["params"], context["triggering_asset_events"].get(CONTACTS, [])
    exported = [event.extra["manifest"] for event in events if "manifest" in event.extra]
    manifests = [params["manifest"]] if params["manifest"] else exported
    if not manifests:
        raise AirflowFailException("No export has started this run: trigger it with the URL of a manifest.")
    with closing(sqlite3.connect(params["database"])) as database:
        return {manifest: load_export(database, ObjectStoragePath(manifest)) for manifest in manifests}


def load_export(database: sqlite3.Connection, path: ObjectStoragePath) -> int:
    """Load the export of a manifest in one transaction; return the number of its rows."""
    from airflow_provider_salesforce_export import read_manifest, read_rows

    manifest = read_manifest(path)
    name, columns, rows = manifest["object_type"], manifest["columns"], 0
    table, partition = quoted(name), str(path.parent).rpartition(f"/{name}/")[2]
    names = ["_partition", *(quoted(column["path"]) for column in columns)]
    insert = f"INSERT INTO {table} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"
    with database:
        create_table(database, table, columns)
        database.execute(f"DELETE FROM {table} WHERE _partition = ?", [partition])
        for page in read_rows(path.parent, manifest):
            database.executemany(insert, ([partition, *map(sql_value, row, columns)] for row in page))
            rows += len(page)
    log.info("Loaded %s rows into the table %s, as _partition %s.", f"{rows:,}", name, partition)
    return rows


def create_table(database: sqlite3.Connection, table: str, columns: list[dict[str, str]]) -> None:
    """Create the table, or the columns that it lacks."""
    database.execute(f'CREATE TABLE IF NOT EXISTS {table} (_partition TEXT, "Id" TEXT, PRIMARY KEY (_partition, "Id"))')
    there = {row[1] for row in database.execute(f"PRAGMA table_info({table})")}
    for column in columns:
        if column["path"] not in there:
            sql_type = TYPES.get(column["type"], "TEXT")
            database.execute(f"ALTER TABLE {table} ADD COLUMN {quoted(column['path'])} {sql_type}")


def sql_value(value: object, column: dict[str, str]) -> object:
    """Return a value as SQLite takes it; CSV writes booleans as words, and JSON may hold an address."""
    if column["type"] == "boolean":
        return {"true": True, "false": False}.get(str(value).lower())
    return json.dumps(value) if isinstance(value, (dict, list)) else value


def quoted(name: str) -> str:
    """Return a name as SQL has it."""
    return f'"{name}"'


with DAG(
    "salesforce_load_contacts",
    schedule=CONTACTS,
    max_active_runs=1,  # SQLite has one writer
    default_args={"retries": 3, "retry_delay": timedelta(minutes=1)},
    params={
        "manifest": Param(
            None,
            type=["null", "string"],
            title="Manifest",
            description="The URL of the manifest of the export to load: needed by a run that you trigger. "
            "Blank in runs that an export starts, which load that one.",
        ),
        "database": Param(DATABASE, type="string", title="Database", description="The SQLite file; it is created."),
    },
    doc_md=__doc__,
    tags=["salesforce", "load"],
):
    load()
