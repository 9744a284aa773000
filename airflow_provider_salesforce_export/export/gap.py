"""
Whether an incremental run begins where the exports before it end.

Nothing else would tell of runs that never were: Airflow leaves out the intervals that pass while a DAG is paused, if
its ``catchup`` is off, and the intervals of some timetables do not meet where clocks change.
"""

from __future__ import annotations

from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING

import msgspec

from airflow_provider_salesforce_export.export.history import earlier_manifests

if TYPE_CHECKING:
    from airflow_provider_salesforce_export.export.destination import Folder
    from airflow_provider_salesforce_export.export.manifest import Manifest
    from airflow_provider_salesforce_export.export.window import Window

_LOOKED_AT = 20  # a full export, or a window of one's own, may sort after the window that reaches further


def gap_before(window: Window, export: Folder, partition: str) -> tuple[datetime, datetime] | None:
    """
    Return from when to when the changes are in no export; None where they all are, or none was made before.

    :param window: What the run reads.
    :param export: The folder that holds the partitions.
    :param partition: The path, below it, of the one that is to be filled.
    :raises DestinationError: The destination cannot be read.
    """
    begins, ends = window.start - window.lookback, list[datetime]()
    for _, manifest in islice(earlier_manifests(export, partition), _LOOKED_AT):
        ends.append(_end(manifest))
        if ends[-1] >= begins:
            return None
    return (max(ends), begins) if ends else None


def _end(manifest: Manifest) -> datetime:
    window = manifest["window"]
    return msgspec.convert(window["end"] if window else manifest["as_of"], datetime)
