"""Which runs are accepted, before anything is asked of the org: an accepted one waits until its window has settled."""

from datetime import datetime, timedelta, timezone
from types import SimpleNamespace

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, TaskDeferred
from airflow.sdk import DAG
from airflow.timetables.interval import CronDataIntervalTimetable

from airflow_provider_salesforce_export import SalesforceExportOperator
from airflow_provider_salesforce_export.exceptions import ConfigurationError

DAY = timedelta(days=1)
MIDNIGHT = datetime(2026, 11, 18, tzinfo=timezone.utc)
DAILY = CronDataIntervalTimetable("0 0 * * *", timezone="UTC")


def start(logical_date, interval, *, schedule=DAILY):
    """Begin an incremental run of a DAG, as far as Airflow's database is not needed."""
    with DAG("nightly", schedule=schedule, start_date=MIDNIGHT - 99 * DAY) as dag:
        operator = SalesforceExportOperator(
            task_id="export",
            object_type="contacts",
            destination="file:///nowhere",
            mode="incremental",
            settle=timedelta(days=36500),
            full_refresh=False,
        )
    begin, end = interval
    run = SimpleNamespace(logical_date=logical_date, data_interval_start=begin, data_interval_end=end)
    operator.execute({"dag": dag, "dag_run": run})


@pytest.mark.parametrize(
    ("logical_date", "schedule"),
    [
        (MIDNIGHT, DAILY),  # scheduled, or of a backfill
        (MIDNIGHT + timedelta(days=1, seconds=1), DAILY),  # by hand
        (MIDNIGHT + DAY, None),  # by hand or another program, where no run of the next interval can be missing
    ],
)
def test_a_run_that_stands_in_nobodys_place_is_accepted(logical_date, schedule):
    with pytest.raises(TaskDeferred):
        start(logical_date, (MIDNIGHT, MIDNIGHT + DAY), schedule=schedule)


def test_a_run_at_the_end_of_its_interval_stands_in_the_place_of_the_next_one_and_is_refused():
    refused = (ConfigurationError, AirflowFailException)  # before Airflow 3.3 the latter stands for what is hopeless
    with pytest.raises(refused, match=r"run of the interval that begins at 2026-11-19T00:00:00\.000Z"):
        start(MIDNIGHT + DAY, (MIDNIGHT, MIDNIGHT + DAY))
