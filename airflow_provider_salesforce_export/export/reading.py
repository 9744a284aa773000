"""Reading an export again: what its manifest names, and no other file."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import msgspec

from airflow_provider_salesforce_export.exceptions import InconsistentPagesError
from airflow_provider_salesforce_export.export import destination
from airflow_provider_salesforce_export.export.formats.columns import values_by_column
from airflow_provider_salesforce_export.export.formats.page_format import PageFormat
from airflow_provider_salesforce_export.export.plan import Plan, Request
from airflow_provider_salesforce_export.export.schema import Schema
from airflow_provider_salesforce_export.salesforce.soql import Query

if TYPE_CHECKING:
    from airflow_provider_salesforce_export.export.destination import Folder
    from airflow_provider_salesforce_export.export.manifest import Manifest

_OF_REQUEST = {"object_type", "include_deleted", "page_size", "pagination", "output_format", "compression", "flatten"}


def read_manifest(path: Folder) -> Manifest:
    """
    Return the manifest that stands now.

    :param path: The file ``manifest.json``, in Hive partitions ``_manifest.json``, as a path or an ObjectStoragePath.
    :raises DestinationError: It is not there, or cannot be read.
    """
    manifest: Manifest = msgspec.json.decode(destination.read(path))
    return manifest


def read_rows(folder: Folder, manifest: Manifest) -> Iterator[list[tuple[Any, ...]]]:
    """
    Yield the rows of an export, file by file; each holds a value for each of the manifest's ``columns``.

    Values are those of the file's format, dates and decimals as texts; all of CSV are texts, and null is None.

    :param folder: The folder that the manifest stands in.
    :param manifest: The manifest.
    :raises InconsistentPagesError: A file is not the one that the manifest names.
    :raises DestinationError: A file is gone, as when another run has replaced the export, or cannot be read.
    """
    page_format, paths = PageFormat(_plan(manifest)), [column["path"] for column in manifest["columns"]]
    for page in manifest["pages"]:
        content = destination.read(folder / page["file"])
        if hashlib.sha256(content).hexdigest() != page["sha256"]:
            raise InconsistentPagesError(
                f"{folder / page['file']} does not hold what its manifest names: something else writes there, or has "
                "cut it. Run the export again."
            )
        columns = values_by_column(page_format.decode(content), paths)
        yield list(zip(*columns, strict=True))


def _plan(manifest: Manifest) -> Plan:
    """Return as much of the plan as the format of the files needs."""
    schema = Schema.from_dict(manifest)
    of_request: dict[str, Any] = {name: value for name, value in manifest.items() if name in _OF_REQUEST}
    request = Request(query=Query(manifest["sobject"], schema.paths), **of_request)
    return Plan(request, schema, manifest["pagination"], manifest["count"], 0, manifest["run"], manifest["started_at"])
