"""
The manifests that stand in the folder of an export before that of a partition.

Names of partitions sort by time, so a backfilled day comes after the day before it, whatever has been exported since.
Partitions that no run has finished have no manifest, and are passed over. The manifests alone tell: nothing else is
kept, and nothing can disagree with what lies there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import msgspec

from airflow_provider_salesforce_export.export import destination
from airflow_provider_salesforce_export.export.manifest import manifest_in

if TYPE_CHECKING:
    from airflow_provider_salesforce_export.export.destination import Folder
    from airflow_provider_salesforce_export.export.manifest import Manifest


def manifests(export: Folder, partition: str) -> Iterator[tuple[Folder, Manifest]]:
    """
    Yield each manifest with where it stands: first that of the partition itself, then those before it, latest first.

    :param export: The folder that holds the partitions.
    :param partition: The path, below it, of the one that is to be filled.
    :raises DestinationError: The destination cannot be read.
    """
    yield from _standing(export, [partition])
    yield from earlier_manifests(export, partition)


def earlier_manifests(export: Folder, partition: str) -> Iterator[tuple[Folder, Manifest]]:
    """
    Yield each manifest of a partition that sorts before one, with where it stands, latest first.

    :param export: The folder that holds the partitions.
    :param partition: The path, below it, of the one that is to be filled.
    :raises DestinationError: The destination cannot be read.
    """
    yield from _standing(export, _before(export, partition))


def _standing(export: Folder, partitions: Iterable[str]) -> Iterator[tuple[Folder, Manifest]]:
    for name in partitions:
        manifest = manifest_in(export / name)
        content = destination.read_if_there(manifest)
        if content:
            yield manifest, msgspec.json.decode(content)


def _before(export: Folder, partition: str) -> Iterator[str]:
    first, _, second = partition.partition("/")
    for name in _names(export, most=first):
        below = _names(export / name, most=second if name == first else None) if name.startswith("ds=") else []
        yield from (path for path in [*(f"{name}/{inner}" for inner in below), name] if path != partition)


def _names(folder: Folder, most: str | None) -> list[str]:
    """Return the names of partitions in a folder, latest first."""
    names = (name for name in destination.names(folder) if name[:1].isdigit() or "=" in name)
    return sorted((name for name in names if most is None or name <= most), reverse=True)
