"""
Whether the fields of an export are others than those of the export before it.

The export before is the one whose manifest stands in the partition that is to be filled; where none does, in the
newest partition that sorts before it.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, TypedDict

from airflow_provider_salesforce_export.export.history import manifests
from airflow_provider_salesforce_export.export.schema import Column

if TYPE_CHECKING:
    from airflow_provider_salesforce_export.export.destination import Folder
    from airflow_provider_salesforce_export.export.schema import Schema


class SchemaChange(TypedDict):
    """The manifest before, the paths of columns, and of those that changed what they were and are."""

    since: str
    added: list[str]
    gone: list[str]
    changed: dict[str, list[dict[str, Any]]]


def schema_change(schema: Schema, export: Folder, partition: str) -> SchemaChange | None:
    """
    Return how the fields differ from those of the export before; None where they do not, or there was none.

    A field whose type was not asked for, then or now, counts as unchanged.

    :param schema: The fields now.
    :param export: The folder that holds the partitions.
    :param partition: The path, below it, of the one that is to be filled.
    :raises DestinationError: The destination cannot be read.
    """
    for path, manifest in manifests(export, partition):
        columns = manifest.get("columns")
        return _difference(schema, columns, str(path)) if columns else None
    return None


def describe(change: SchemaChange) -> str:
    """
    Return what has changed, for people.

    :param change: The difference.
    """
    kinds = {"added": change["added"], "gone": change["gone"], "changed": change["changed"]}
    said = [f"{kind}: {', '.join(paths)}" for kind, paths in kinds.items() if paths]
    return f"The fields are others than in {change['since']}. {'; '.join(said)}."


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
