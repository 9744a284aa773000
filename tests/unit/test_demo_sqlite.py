"""The demo's SQLite, with what Airflow does when it creates the runs of a backfill: savepoints in one transaction."""

import sqlite3
from contextlib import closing

import pytest
from sqlalchemy import create_engine, text

from airflow_provider_salesforce_export.demo.sqlite import CONNECT_ARGS

COUNT = text("SELECT count(*) FROM run")
INSERT = text("INSERT INTO run DEFAULT VALUES")


@pytest.fixture
def path(tmp_path):
    with closing(sqlite3.connect(tmp_path / "airflow.db")) as database:
        database.execute("PRAGMA journal_mode=WAL")  # as Airflow does
        database.execute("CREATE TABLE run (id INTEGER PRIMARY KEY)")
    return tmp_path / "airflow.db"


@pytest.fixture
def scheduler(path):
    with closing(sqlite3.connect(path, timeout=0, isolation_level=None)) as scheduler:
        yield scheduler


@pytest.fixture
def engine(path):
    engine = create_engine(f"sqlite:///{path}", connect_args=CONNECT_ARGS)
    yield engine
    engine.dispose()


def test_what_savepoints_write_is_seen_all_at_once(engine, scheduler):
    def seen():
        return scheduler.execute(COUNT.text).fetchone()[0]

    with engine.begin() as backfill:
        for _ in range(2):
            with backfill.begin_nested():
                backfill.execute(INSERT)
            assert seen() == 0

    assert seen() == 2


def test_nobody_writes_between_a_savepoint_and_what_it_writes(engine, scheduler):
    with engine.begin() as backfill, backfill.begin_nested():
        backfill.execute(COUNT)
        with pytest.raises(sqlite3.OperationalError, match="database is locked"):  # at once, for want of a timeout
            scheduler.execute(INSERT.text)
        backfill.execute(INSERT)
