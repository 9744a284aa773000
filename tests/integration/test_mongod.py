from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from pymongo import MongoClient, WriteConcern

from airflow_provider_salesforce_export.sandbox import mongod as sandbox_mongod
from airflow_provider_salesforce_export.sandbox.mongod import Mongod, running_mongod
from airflow_provider_salesforce_export.sandbox.mongod_binary import MongodError
from airflow_provider_salesforce_export.sandbox.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def mongod() -> Iterator[Mongod]:
    with Mongod() as server:
        yield server


def ask(uri: str, command: str) -> dict[str, Any]:
    with MongoClient[dict[str, Any]](uri, serverSelectionTimeoutMS=5000) as client:
        return client.admin.command(command)


def write(uri: str, text: str) -> None:
    with MongoClient[dict[str, Any]](uri, serverSelectionTimeoutMS=5000) as client:
        notes = client.get_database("test", write_concern=WriteConcern("majority", j=True)).notes
        notes.insert_one({"text": text})


def texts(uri: str) -> list[str]:
    with MongoClient[dict[str, Any]](uri, serverSelectionTimeoutMS=5000) as client:
        return [note["text"] for note in client.test.notes.find()]


def runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_it_answers_and_keeps_what_is_written(mongod: Mongod) -> None:
    write(mongod.uri, "hello")
    assert texts(mongod.uri) == ["hello"]


def test_it_listens_on_this_machine_only_and_takes_little_memory(mongod: Mongod) -> None:
    options = ask(mongod.uri, "getCmdLineOpts")["parsed"]
    assert options["net"]["bindIp"] == "127.0.0.1"
    assert options["storage"]["wiredTiger"]["engineConfig"]["cacheSizeGB"] == 0.25


def test_stop_leaves_no_process_and_no_files(mongod: Mongod) -> None:
    pid = ask(mongod.uri, "serverStatus")["pid"]
    data_dir = Path(ask(mongod.uri, "getCmdLineOpts")["parsed"]["storage"]["dbPath"])
    assert runs(pid)
    assert data_dir.is_dir()
    mongod.stop()
    assert not runs(pid)
    assert not data_dir.exists()
    mongod.stop()  # once more does no harm


def test_after_kill_it_starts_again_at_the_same_address_with_its_data(mongod: Mongod) -> None:
    uri, pid = mongod.uri, ask(mongod.uri, "serverStatus")["pid"]
    write(uri, "before the power cut")
    mongod.kill()
    assert not runs(pid)
    mongod.start()
    assert mongod.uri == uri
    assert texts(uri) == ["before the power cut"]


def test_it_cannot_be_started_twice(mongod: Mongod) -> None:
    with pytest.raises(MongodError, match="runs already"):
        mongod.start()
    assert texts(mongod.uri) == []


def test_another_server_on_the_port_is_not_taken_for_ours(mongod: Mongod) -> None:
    with pytest.raises(MongodError, match=r"(?s)exit code 48.*already in use"):
        Mongod(port=mongod.port).start()
    assert texts(mongod.uri) == []


def test_a_port_that_is_taken_before_it_starts_is_no_failure(mongod: Mongod, monkeypatch: pytest.MonkeyPatch) -> None:
    ports = iter([mongod.port, free_port()])
    monkeypatch.setattr(sandbox_mongod, "free_port", lambda: next(ports))
    with Mongod() as other:
        write(other.uri, "elsewhere")
        assert texts(mongod.uri) == []


def test_a_given_data_folder_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MONGO_URI", raising=False)
    for expected in ([], ["first"]):
        with running_mongod(data_dir=tmp_path / "data") as uri:
            assert texts(uri) == expected
            write(uri, "first")
    assert (tmp_path / "data" / "mongod.log").stat().st_size > 0


def test_a_replica_set_steps_up_again_after_a_power_cut() -> None:
    with Mongod(replica_set="rs0") as mongod:
        assert ask(mongod.uri, "hello")["setName"] == "rs0"
        write(mongod.uri, "by majority")
        mongod.kill()
        mongod.start()
        assert ask(mongod.uri, "hello")["isWritablePrimary"]
        assert texts(mongod.uri) == ["by majority"]


def test_an_exception_leaves_no_process() -> None:
    pids = []

    def work() -> None:
        with Mongod() as mongod:
            pids.append(ask(mongod.uri, "serverStatus")["pid"])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        work()
    assert not runs(pids[0])


def test_ctrl_c_leaves_no_process() -> None:
    program = (
        "import signal, time\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a shell disables it for background jobs
        "from airflow_provider_salesforce_export.sandbox.mongod import Mongod\n"
        "with Mongod() as mongod:\n"
        "    print(mongod._process.pid, flush=True)\n"
        "    time.sleep(60)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as child:
        assert child.stdout is not None
        pid = int(child.stdout.readline())
        assert runs(pid)
        os.killpg(child.pid, signal.SIGINT)  # as the terminal does: to the whole group
        _, stderr = child.communicate(timeout=30)
    assert b"KeyboardInterrupt" in stderr
    assert not runs(pid)
