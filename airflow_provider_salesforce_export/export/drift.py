"""
Whether the fields of an export are others than those of the export before it.

The export before is the one whose manifest stands in the partition that is to be filled; where none does, in the
newest partition that sorts before it. Names of partitions sort by time, so a backfilled day is compared with the day
before it, whatever has been exported since. Partitions that no run has finished have no manifest, and are passed over.
The manifest alone tells: nothing else is kept, and nothing can disagree with what lies there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import msgspec

from airflow_provider_salesforce_export.export import destination
from airflow_provider_salesforce_export.export.commit import manifest_in
from airflow_provider_salesforce_export.export.schema import Column

if TYPE_CHECKING:
    from airflow_provider_salesforce_export.export.destination import Folder
    from airflow_provider_salesforce_export.export.schema import Schema

SchemaChange = dict[str, Any]
"""``{"since", "added", "gone", "changed"}``: the manifest before, paths, paths, and ``{path: [before, after]}``."""


def schema_change(schema: Schema, export: Folder, partition: str) -> SchemaChange | None:
    """
    Return how the fields differ from those of the export before; None where they do not, or there was none.

    A field whose type was not asked for, then or now, counts as unchanged.

    :param schema: The fields now.
    :param export: The folder that holds the partitions.
    :param partition: The path, below it, of the one that is to be filled.
    :raises DestinationError: The destination cannot be read.
    """
    for name in _before(export, partition):
        manifest = manifest_in(export / name)
        content = destination.read_if_there(manifest)
        if content:
            columns = msgspec.json.decode(content).get("columns")
            return _difference(schema, columns, str(manifest)) if columns else None
    return None


def describe(change: SchemaChange) -> str:
    """
    Return what has changed, for people.

    :param change: The difference.
    """
    said = [f"{kind}: {', '.join(change[kind])}" for kind in ("added", "gone", "changed") if change[kind]]
    return f"The fields are others than in {change['since']}. {'; '.join(said)}."


def _before(export: Folder, partition: str) -> Iterator[str]:
    yield partition
    first, _, second = partition.partition("/")
    for name in _names(export, most=first):
        below = _names(export / name, most=second if name == first else None) if name.startswith("ds=") else []
        yield from (path for path in [*(f"{name}/{inner}" for inner in below), name] if path != partition)


def _names(folder: Folder, most: str | None) -> list[str]:
    """Return the names of partitions in a folder, latest first."""
    names = (name for name in destination.names(folder) if name[:1].isdigit() or "=" in name)
    return sorted((name for name in names if most is None or name <= most), reverse=True)


def _difference(schema: Schema, before: list[dict[str, Any]], since: str) -> SchemaChange | None:
    old = {column["path"]: Column(**column) for column in before}
    new = {column.path: column for column in schema.columns}
    changed = {
        path: [asdict(old[path]), asdict(new[path])]
        for path in new.keys() & old.keys()
        if old[path] != new[path] and old[path].type and new[path].type
    }
    added, gone = (sorted(a.keys() - b.keys()) for a, b in ((new, old), (old, new)))
    if not (added or gone or changed):
        return None
    return {"since": since, "added": added, "gone": gone, "changed": dict(sorted(changed.items()))}
