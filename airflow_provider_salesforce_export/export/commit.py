"""
The commit of an export: a manifest takes the place of the one before in one step; then what it made needless is swept.

A worker that was thought dead may only have been paused, and go on when a later try of its DAG run has long published.
So the last look at the folder comes directly before the step. On a local file system not even a pause between the two
does harm: the sweep of the later try has taken the unfinished manifest, and there is nothing left to put in place.

What remains: two tries of one DAG run are alive at once, and one takes its step in the moment in which the other
sweeps; and in an object store, which has no unfinished files, a pause between look and step. Then the manifest may name
files that are gone. Publishing again reads their rows again.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import msgspec

from airflow_provider_salesforce_export.exceptions import InconsistentPagesError
from airflow_provider_salesforce_export.export import destination
from airflow_provider_salesforce_export.export.manifest import FILE_NAME, manifest_in

if TYPE_CHECKING:
    from airflow_provider_salesforce_export.export.destination import Folder
    from airflow_provider_salesforce_export.export.manifest import Manifest

log = logging.getLogger(__name__)

_SWEPT = ("page-", ".page-", ".bulk-job-", f".{FILE_NAME}-")  # what the names of our files begin with, finished or not
_ABANDONED_AFTER = 24 * 3600  # seconds: no run of Airflow still writes to pages that are older


def commit(folder: Folder, manifest: Manifest, *, run_key: str, attempt: int) -> Manifest:
    """
    Let a manifest stand, and sweep what none names any more.

    :param folder: Where it will stand.
    :param manifest: The manifest.
    :param run_key: What the names of all files of its DAG run have in common.
    :param attempt: Which try of publishing this is.
    :returns: The manifest as it was written: with ``attempt``, and ``replaces``, the runs whose files it made needless,
        for whoever has to finish the sweep.
    :raises InconsistentPagesError: A file that it names is gone, or is being swept, or a later try of the DAG run has
        published.
    :raises DestinationError: The folder cannot be read or written.
    """
    manifest = manifest | {"attempt": attempt, "replaces": _replaced_runs(folder, manifest["run"])}
    content = msgspec.json.format(msgspec.json.encode(manifest))
    unfinished = f".{FILE_NAME}-{manifest['run']}-{attempt}.tmp"
    with destination.writing(manifest_in(folder), content, unfinished=unfinished):
        lying = destination.files(folder)
        lying.pop(unfinished, None)
        _check(folder, manifest, run_key, lying)
    _sweep(folder, lying, {run_key, *manifest["replaces"]})
    return manifest


def is_replaced(folder: Folder, run: str) -> bool:
    """
    Return whether another run has replaced what a run published: its files are being swept, if they are still there.

    :param folder: Where the manifest stands.
    :param run: The run.
    """
    return _replaces(_standing(folder), run)


def _standing(folder: Folder) -> Manifest | None:
    content = destination.read_if_there(manifest_in(folder))
    return msgspec.json.decode(content) if content else None


def _replaces(standing: Manifest | None, run: str) -> bool:
    return standing is not None and run in standing.get("replaces", [])


def _files(manifest: Manifest) -> set[str]:
    return {page["file"] for page in manifest["pages"]}


def _try(manifest: Manifest) -> tuple[str, int]:
    """Return what is higher for a later try of the same DAG run."""
    return manifest["started_at"], manifest.get("attempt", 1)


def _replaced_runs(folder: Folder, run: str) -> list[str]:
    """Return the run of the manifest that stands, and those whose files it should have swept but did not."""
    before = _standing(folder)
    runs = [before["run"], *before.get("replaces", [])] if before else []
    lying = destination.files(folder)
    return [other for other in runs if other != run and any(_is_of(name, [other]) for name in lying)]


def _is_of(name: str, runs: Iterable[str]) -> bool:
    return any(f"-{run}" in name for run in runs)


def _check(folder: Folder, manifest: Manifest, run_key: str, lying: Mapping[str, float]) -> None:
    standing = _standing(folder)
    if standing and standing["run"].startswith(run_key) and _try(standing) > _try(manifest):
        raise InconsistentPagesError(
            f"A later try of this DAG run has published in {folder}: it began at {standing['started_at']}, this one at "
            f"{manifest['started_at']}. What it published stands. If there was no later try, the clocks of the Airflow "
            "workers disagree: set them right, and clear the task that counts."
        )
    if _replaces(standing, manifest["run"]):
        raise InconsistentPagesError(
            f"Another run has published in {folder} meanwhile, and sweeps what this one had published there before. "
            "Nothing was published; the next try reads the rows again."
        )
    gone = sorted(_files(manifest) - lying.keys())
    if gone:
        raise InconsistentPagesError(
            f"{len(gone)} of {len(manifest['pages'])} files have gone from {folder} since they were checked: "
            f"{', '.join(gone)}. Another try of this DAG run has swept them, or something else deletes there. Nothing "
            "was published; the next try reads their rows again."
        )


def _sweep(folder: Folder, lying: Mapping[str, float], runs: Iterable[str]) -> None:
    """
    Delete files of the DAG run and of replaced ones that lay there before the commit, and what was abandoned long ago.

    What stands is read again: somebody else may have published since. Files of another run may be those of one that
    fills the same partition at this moment: they are left alone.
    """
    standing = _standing(folder)
    named = _files(standing) if standing else set()
    abandoned = time.time() - _ABANDONED_AFTER
    for name, written_at in sorted(lying.items()):  # a dot sorts first: unfinished files
        is_needless = _is_of(name, runs) or written_at < abandoned
        if name.startswith(_SWEPT) and name not in named and is_needless:
            destination.delete(folder / name)
            log.info("Deleted %s, which the manifest does not name.", name)
