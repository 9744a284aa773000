"""Files at the destination: a local folder or an object store, behind the interface of ``pathlib``."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from airflow_provider_salesforce_export.exceptions import DestinationError

_ERRORS_OF_STORES = (
    ("botocore.exceptions", "BotoCoreError"),
    ("botocore.exceptions", "ClientError"),
    ("gcsfs.retry", "HttpError"),
    ("google.auth.exceptions", "GoogleAuthError"),
    ("azure.core.exceptions", "AzureError"),
    ("aiohttp", "ClientError"),
)
_MODIFIED = ("LastModified", "mtime", "last_modified")  # S3, Google, Azure

Folder = Any
"""A ``pathlib.Path``, or Airflow's ``ObjectStoragePath``, which has the same methods but no common base class."""


def prepare(folder: Folder) -> None:
    """
    Create a local folder; object stores have none.

    :param folder: The folder that files will be written to.
    :raises DestinationError: It cannot be created.
    """
    if _is_local(folder):
        with _destination_errors(folder, "created"):
            folder.mkdir(parents=True, exist_ok=True)


def write(path: Folder, content: bytes) -> None:
    """
    Write a file in one step: readers see all of it or nothing.

    :param path: The file. An existing one is replaced.
    :param content: What it will hold.
    :raises DestinationError: It cannot be written.
    """
    with writing(path, content):
        pass


@contextmanager
def writing(path: Folder, content: bytes, *, unfinished: str | None = None) -> Iterator[None]:
    """
    Write a file in one step when the block ends. Where the block raises, nothing is written.

    :param path: The file. An existing one is replaced.
    :param content: What it will hold.
    :param unfinished: The name of the local file until the block ends, where several may write the same file at once.
    :raises DestinationError: It cannot be written.
    """
    with _destination_errors(path, "written"):
        if not _is_local(path):
            yield
            # In one put, or in parts that only the last step makes a file, and that an error drops. An open file of
            # fsspec promises less: leaving its block flushes and closes it, also after an error.
            path.fs.pipe_file(path.path, content)
            return
        # A write to a local file can be seen, or die, half-way; a rename cannot.
        temporary = path.with_name(unfinished or f".{path.name}.tmp")
        try:
            temporary.write_bytes(content)
            yield
            temporary.replace(path)
        finally:
            delete(temporary)


def read(path: Folder) -> bytes:
    """
    Return what a file holds.

    :param path: The file.
    :raises DestinationError: It is not there, or cannot be read.
    """
    with _destination_errors(path, "read"):
        return _content(path)


def read_if_there(path: Folder) -> bytes | None:
    """
    Return what a file holds; None where there is no such file.

    :param path: The file.
    :raises DestinationError: It cannot be read.
    """
    with _destination_errors(path, "read"), suppress(FileNotFoundError):
        return _content(path)
    return None


def _content(path: Folder) -> bytes:
    # An open file of an object store looks into a listing first, which may be older than the file.
    content: bytes = path.read_bytes() if _is_local(path) else path.fs.cat_file(path.path)
    return content


def names(folder: Folder) -> list[str]:
    """
    Return the names of what lies in a folder, as it is now; one that does not exist has none.

    :param folder: The folder.
    :raises DestinationError: It cannot be read.
    """
    with _listing(folder):
        return [path.name for path in folder.iterdir()]
    return []


def files(folder: Folder) -> dict[str, float]:
    """
    Return the files in a folder as they are now: by name, when each was written, in seconds since 1970.

    A folder that does not exist has none.

    :param folder: The folder.
    :raises DestinationError: It cannot be read.
    """
    with _listing(folder):
        return _local_files(folder) if _is_local(folder) else _files_in_store(folder)
    return {}


def _local_files(folder: Folder) -> dict[str, float]:
    found = {}
    for path in folder.iterdir():
        with suppress(FileNotFoundError):  # deleted by another worker since
            found[path.name] = path.stat().st_mtime
    return found


def _files_in_store(folder: Folder) -> dict[str, float]:
    """Ask the store itself: what ObjectStoragePath tells of a file in Azure has no time."""
    found = {}
    for entry in folder.fs.ls(folder.path, detail=True):
        if entry["type"] == "file":
            modified = next(entry[name] for name in _MODIFIED if name in entry)
            found[entry["name"].rpartition("/")[2]] = modified.timestamp()
    return found


def delete(path: Folder) -> None:
    """
    Delete a file, if it is there.

    :param path: The file.
    :raises DestinationError: It cannot be deleted.
    """
    # ObjectStoragePath.unlink(missing_ok=True) looks first and deletes then: another worker may come between.
    with _destination_errors(path, "deleted"), suppress(FileNotFoundError):
        path.unlink()


@contextmanager
def _listing(folder: Folder) -> Iterator[None]:
    # A folder of an object store that has no file is not there; ObjectStoragePath calls that "not a directory".
    with _destination_errors(folder, "read"), suppress(FileNotFoundError, NotADirectoryError):
        if not _is_local(folder):
            folder.fs.invalidate_cache(folder.path)  # others write there too
        yield


def _is_local(path: Folder) -> bool:
    return isinstance(path, Path) or path.protocol in ("", "file", "local")


def _store_errors() -> tuple[type[Exception], ...]:
    """Return what file systems raise: OSError, and what the libraries of the object stores that are loaded raise."""
    found = [getattr(sys.modules.get(module), name, None) for module, name in _ERRORS_OF_STORES]
    return (OSError, *filter(None, found))


@contextmanager
def _destination_errors(path: Folder, done: str) -> Iterator[None]:
    try:
        yield
    except _store_errors() as error:
        raise DestinationError(
            f"{path} cannot be {done}: {error}. Check the destination, and the rights of the Airflow workers there "
            "(destination_conn_id for an object store)."
        ) from None
