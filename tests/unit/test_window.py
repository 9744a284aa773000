from datetime import datetime, timedelta, timezone
from itertools import pairwise

import pendulum
import pytest
from airflow.timetables.base import TimeRestriction
from airflow.timetables.interval import CronDataIntervalTimetable

from airflow_provider_salesforce_export.exceptions import ConfigurationError, ExportError
from airflow_provider_salesforce_export.export.partitions import hive, plain
from airflow_provider_salesforce_export.export.window import Window

DAY = datetime(2026, 11, 20, tzinfo=timezone.utc)
NIGHT = DAY + timedelta(days=1)


def test_the_window_is_half_open():
    window = Window(DAY, DAY + timedelta(days=1))

    assert window.condition("SystemModstamp") == (
        "SystemModstamp >= 2026-11-20T00:00:00.000Z AND SystemModstamp < 2026-11-21T00:00:00.000Z"
    )


def test_a_lookback_reads_more_and_fills_the_same_partition():
    without = Window(DAY, DAY + timedelta(days=1))
    window = Window(DAY, DAY + timedelta(days=1), timedelta(minutes=10))

    assert window.as_text() == ("2026-11-19T23:50:00.000Z", "2026-11-21T00:00:00.000Z")
    assert plain(window) == plain(without)
    assert hive(window) == hive(without)


@pytest.mark.parametrize(
    ("cron", "zone", "first", "count"),
    [
        ("0 2 * * *", "UTC", "2026-01-01", 366),
        ("30 2 * * *", "Europe/Berlin", "2026-03-20", 20),  # 02:30 does not exist on 29 March
        ("30 2 * * *", "Europe/Berlin", "2026-10-15", 20),  # 02:30 comes twice on 25 October
        ("*/15 * * * *", "America/New_York", "2026-10-31", 200),
        ("15 1 * * *", "Australia/Lord_Howe", "2026-03-25", 20),  # moves its clocks by half an hour
        ("0 0 1 * *", "Pacific/Auckland", "2024-01-01", 30),  # a leap year, months of all lengths
    ],
)
def test_the_windows_of_consecutive_intervals_meet(cron, zone, first, count):
    timetable = CronDataIntervalTimetable(cron, timezone=zone)
    start = pendulum.parse(first, tz=zone)
    restriction = TimeRestriction(earliest=start, latest=None, catchup=True)
    windows, interval = [], None
    for _ in range(count):
        interval = timetable.next_dagrun_info(
            last_automated_data_interval=interval, restriction=restriction
        ).data_interval
        windows.append(Window(interval.start, interval.end))

    for name in (plain, hive):
        assert len({name(window) for window in windows}) == count
        assert [name(window) for window in windows] == sorted(name(window) for window in windows)
    assert all(before.as_text()[1] == after.as_text()[0] for before, after in pairwise(windows))


@pytest.mark.parametrize("end", [DAY, DAY - timedelta(days=1), DAY + timedelta(microseconds=1)])
def test_an_empty_window_is_refused_with_the_line_to_write(end):
    with pytest.raises(ConfigurationError, match="CronDataIntervalTimetable"):
        Window(DAY, end)


@pytest.mark.parametrize("org_time", [None, NIGHT, NIGHT - timedelta(seconds=1), NIGHT + timedelta(days=1)])
def test_a_window_is_over_when_it_is_for_the_org(org_time):
    Window(DAY, NIGHT).require_end(org_time)


def test_a_window_that_is_not_over_for_the_org_is_refused():
    with pytest.raises(ExportError, match="this worker's clock is ahead"):
        Window(DAY, NIGHT).require_end(NIGHT - timedelta(seconds=2))
