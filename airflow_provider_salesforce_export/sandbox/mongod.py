"""
A real MongoDB server on this machine, for demos and tests, without Docker.

The server at ``MONGO_URI`` (an environment variable), which runs already; else one that is started with what
:mod:`~airflow_provider_salesforce_export.sandbox.mongod_binary` finds.
"""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import tempfile
import time
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pymongo import MongoClient
from pymongo.errors import ConnectionFailure, OperationFailure

from airflow_provider_salesforce_export.sandbox.mongod_binary import OTHER_WAYS, MongodBinary, MongodError, find_mongod
from airflow_provider_salesforce_export.sandbox.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

log = logging.getLogger(__name__)

START_TIMEOUT = 60.0  # seconds
STOP_TIMEOUT = 20.0  # seconds
PORT_TRIES = 3
PORT_TAKEN = 48  # mongod's exit code
# Unauthorized (another server on our port); AlreadyInitialized, NotYetInitialized (by replSetInitiate)
NOT_READY_CODES = (13, 23, 94)


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
            self._start_in(folder, binary)
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

    def _start_in(self, folder: Path, binary: MongodBinary) -> None:
        log_file = folder / "mongod.log"
        wanted = self.port
        for tries_left in reversed(range(1 if wanted else PORT_TRIES)):
            self.port = wanted or free_port()
            self._process = self._spawn(binary, folder, log_file)
            try:
                self._wait_until_ready(self._process, log_file)
                return
            except MongodError:
                # Somebody may have taken the port since it was found to be free.
                if not tries_left or self._process.poll() != PORT_TAKEN:
                    raise

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


def _last_lines(log_file: Path) -> str:
    lines = log_file.read_text(errors="replace").splitlines()
    warnings = [line for line in lines if '"s":"I"' not in line]
    return "\n".join(["The last lines of its log:", *(warnings or lines)[-15:]])
