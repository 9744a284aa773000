from __future__ import annotations

import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_salesforce_export.sandbox import mongod
from airflow_provider_salesforce_export.sandbox.mongod import Mongod, running_mongod
from airflow_provider_salesforce_export.sandbox.mongod_binary import (
    MONGOD_WHEEL,
    MongodBinary,
    MongodError,
    find_mongod,
)

CURL = "\tlibcurl.so.4 => not found\n"
OPENSSL = "\tlibcrypto.so.1.1 => not found\n\tlibssl.so.1.1 => not found\n"
COMPLETE = "\tlibc.so.6 => /lib/libc.so.6 (0x00007f0000000000)\n"


class FakePrograms:
    """Stands in for uv, which unpacks wheels, and for the loader, which lists libraries."""

    def __init__(self) -> None:
        self.fetched: list[str] = []
        self.commands: list[list[str]] = []
        self.missing_without_openssl_1_1 = OPENSSL
        self.missing_with_openssl_1_1 = ""
        self.uv_fails_with: str | BaseException | None = None

    def run(self, command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
        if "--target" in command:
            return self._unpack(command)
        has_openssl = "psycopg2_binary.libs" in options["env"].get("LD_LIBRARY_PATH", "")
        missing = self.missing_with_openssl_1_1 if has_openssl else self.missing_without_openssl_1_1
        return subprocess.CompletedProcess(command, 0, COMPLETE + missing, "")

    def _unpack(self, command: list[str]) -> subprocess.CompletedProcess[str]:
        self.commands.append(command)
        self.fetched.append(command[-1])
        target = Path(command[command.index("--target") + 1])
        if command[-1].startswith("fiftyone-db"):
            files = ["fiftyone/db/bin/mongod"]
        else:
            files = [f"psycopg2_binary.libs/{name}-0123abcd.so.1.1" for name in ("libssl", "libcrypto")]
        for file in files:
            (target / file).parent.mkdir(parents=True, exist_ok=True)
            (target / file).write_text("")
        if isinstance(self.uv_fails_with, BaseException):
            raise self.uv_fails_with
        if self.uv_fails_with:
            return subprocess.CompletedProcess(command, 1, "", self.uv_fails_with)
        return subprocess.CompletedProcess(command, 0, "", "")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.delenv("MONGO_URI", raising=False)
    monkeypatch.delenv("LD_LIBRARY_PATH", raising=False)
    return tmp_path / "cache" / "airflow_provider_salesforce_export"


@pytest.fixture
def programs(cache: Path, monkeypatch: pytest.MonkeyPatch) -> FakePrograms:
    fake = FakePrograms()
    monkeypatch.setattr(subprocess, "run", fake.run)
    monkeypatch.setattr(platform, "system", lambda: "Linux")
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    return fake


def put_on_path(tmp_path: Path, script: str) -> Path:
    """Put a shell script with the name mongod on the PATH."""
    program = tmp_path / "bin" / "mongod"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\nPATH=/usr/bin:/bin\necho $$ > {tmp_path}/pid\n{script}\n")
    program.chmod(0o755)
    return program


def has_ended(tmp_path: Path) -> bool:
    try:
        os.kill(int((tmp_path / "pid").read_text()), 0)
    except ProcessLookupError:
        return True
    return False


def test_mongo_uri_is_used_as_it_is_and_nothing_is_started(
    programs: FakePrograms, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MONGO_URI", "mongodb://db.example:27017/?replicaSet=x")
    with running_mongod(port=1, replica_set="rs0") as uri:
        assert uri == "mongodb://db.example:27017/?replicaSet=x"
    assert programs.fetched == []


def test_a_mongod_on_the_path_is_preferred(tmp_path: Path, programs: FakePrograms) -> None:
    program = put_on_path(tmp_path, "exit 0")
    assert find_mongod() == MongodBinary(program, {})
    assert programs.fetched == []


def test_the_wheels_are_unpacked_into_the_cache(cache: Path, programs: FakePrograms) -> None:
    binary = find_mongod()
    libraries = cache / "openssl-2.9.9-linux-x86_64" / "psycopg2_binary.libs"
    assert binary.path == cache / "mongod-0.4.5-linux-x86_64" / "fiftyone" / "db" / "bin" / "mongod"
    assert os.access(binary.path, os.X_OK)
    assert binary.env == {"LD_LIBRARY_PATH": str(libraries)}
    assert (libraries / "libssl.so.1.1").resolve().name == "libssl-0123abcd.so.1.1"
    assert (libraries / "libcrypto.so.1.1").resolve().name == "libcrypto-0123abcd.so.1.1"
    assert sorted(path.name for path in cache.iterdir()) == [
        "mongod-0.4.5-linux-x86_64",
        "openssl-2.9.9-linux-x86_64",
    ]


def test_nothing_is_installed_into_the_environment_nor_built(programs: FakePrograms) -> None:
    find_mongod()
    for command in programs.commands:
        assert "--no-deps" in command
        assert command[command.index("--only-binary") + 1] == ":all:"
        assert command[command.index("--python-version") + 1] == "3.11"


def test_the_second_call_does_not_run_uv(programs: FakePrograms) -> None:
    first = find_mongod()
    assert programs.fetched == ["fiftyone-db==0.4.5", "psycopg2-binary==2.9.9"]
    assert find_mongod() == first
    assert len(programs.fetched) == 2


def test_openssl_is_fetched_only_where_the_system_lacks_it(programs: FakePrograms) -> None:
    programs.missing_without_openssl_1_1 = ""
    assert find_mongod().env == {}
    assert programs.fetched == ["fiftyone-db==0.4.5"]


def test_macos_needs_no_openssl(programs: FakePrograms, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    monkeypatch.setattr(platform, "machine", lambda: "arm64")
    assert find_mongod().env == {}
    assert programs.fetched == ["fiftyone-db==0.4.5"]


def test_a_library_path_of_the_user_is_kept(programs: FakePrograms, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LD_LIBRARY_PATH", "/opt/lib")
    assert find_mongod().env["LD_LIBRARY_PATH"].endswith("psycopg2_binary.libs:/opt/lib")


def test_a_missing_libcurl_is_named_with_the_line_that_installs_it(programs: FakePrograms) -> None:
    programs.missing_without_openssl_1_1 = programs.missing_with_openssl_1_1 = CURL
    with pytest.raises(MongodError) as error:
        find_mongod()
    assert "libcurl.so.4" in str(error.value)
    assert "apt-get install libcurl4" in str(error.value)
    assert "dnf install libcurl" in str(error.value)
    assert "MONGO_URI" in str(error.value)


def test_a_missing_library_of_unknown_package_is_named(programs: FakePrograms) -> None:
    programs.missing_with_openssl_1_1 = "\tlibodd.so.9 => not found\n"
    with pytest.raises(MongodError, match=r"does not have: libodd\.so\.9") as error:
        find_mongod()
    assert "apt-get" not in str(error.value)


def test_an_unsupported_platform_is_told_the_other_ways(
    programs: FakePrograms, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    with pytest.raises(MongodError, match=r"linux-riscv64.*mongod on the PATH.*MONGO_URI"):
        find_mongod()
    assert programs.fetched == []


def test_a_failed_fetch_says_what_uv_said_and_leaves_nothing(cache: Path, programs: FakePrograms) -> None:
    programs.uv_fails_with = "error: no wheels with a matching platform tag"
    with pytest.raises(MongodError, match=r"(?s)fiftyone-db==0\.4\.5.*MONGO_URI.*matching platform tag"):
        find_mongod()
    assert list(cache.iterdir()) == []


def test_an_interrupted_fetch_leaves_nothing_and_the_next_one_works(cache: Path, programs: FakePrograms) -> None:
    programs.uv_fails_with = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        find_mongod()
    assert list(cache.iterdir()) == []
    programs.uv_fails_with = None
    assert find_mongod().path.exists()


def test_two_fetches_at_once_do_no_harm(cache: Path, programs: FakePrograms, monkeypatch: pytest.MonkeyPatch) -> None:
    def while_another_is_faster(command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
        done = programs.run(command, **options)
        if command[-1] == MONGOD_WHEEL:
            theirs = cache / "mongod-0.4.5-linux-x86_64" / "fiftyone" / "db" / "bin" / "mongod"
            theirs.parent.mkdir(parents=True)
            theirs.write_text("theirs")
        return done

    monkeypatch.setattr(subprocess, "run", while_another_is_faster)
    assert find_mongod().path.read_text() == "theirs"
    assert [path.name for path in cache.iterdir() if path.name.startswith(".")] == []


def test_without_uv_the_extra_is_named(programs: FakePrograms, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uv", None)
    with pytest.raises(MongodError, match=r"airflow-provider-salesforce-export\[sandbox\].*MONGO_URI"):
        find_mongod()


@pytest.mark.usefixtures("cache")
def test_a_mongod_that_ends_at_once_shows_its_last_words(tmp_path: Path) -> None:
    put_on_path(tmp_path, "echo 'error while loading shared libraries: libcurl.so.4' >&2; exit 127")
    with pytest.raises(MongodError, match=r"(?s)exit code 127.*shared libraries: libcurl\.so\.4"):
        Mongod().start()


@pytest.mark.usefixtures("cache")
def test_a_file_that_is_no_program_is_named(tmp_path: Path) -> None:
    put_on_path(tmp_path, "").write_bytes(b"\x7fELF, or so it says")
    with pytest.raises(MongodError, match=r"cannot be run: .*bin/mongod.*MONGO_URI"):
        Mongod().start()


@pytest.mark.parametrize("habit", ["", "trap '' TERM"], ids=["ends when told", "has to be killed"])
@pytest.mark.usefixtures("cache")
def test_a_mongod_that_never_answers_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, habit: str) -> None:
    def after_it_has_spoken(self: Mongod, pid: int, is_ready: Callable[[Mongod, int], bool] = Mongod._is_ready) -> bool:
        while "still thinking" not in (tmp_path / "data" / "mongod.log").read_text():
            time.sleep(0.01)
        return is_ready(self, pid)

    monkeypatch.setattr(Mongod, "_is_ready", after_it_has_spoken)
    monkeypatch.setattr(mongod, "START_TIMEOUT", 0.3)
    monkeypatch.setattr(mongod, "STOP_TIMEOUT", 0.3)
    put_on_path(tmp_path, f"{habit}\necho 'still thinking'\nexec sleep 60")
    with pytest.raises(MongodError, match=r"(?s)not ready.*still thinking"):
        Mongod(data_dir=tmp_path / "data").start()
    assert has_ended(tmp_path)


@pytest.mark.usefixtures("cache")
def test_ctrl_c_during_the_start_leaves_no_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def wait_for_the_pid_then_interrupt(*_: object) -> None:
        while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
            time.sleep(0.01)
        raise KeyboardInterrupt

    put_on_path(tmp_path, "exec sleep 60")
    monkeypatch.setattr(Mongod, "_is_ready", wait_for_the_pid_then_interrupt)
    with pytest.raises(KeyboardInterrupt):
        Mongod(data_dir=tmp_path / "data").start()
    assert has_ended(tmp_path)
