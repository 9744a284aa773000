from datetime import datetime, timedelta, timezone

import pytest

from airflow_provider_salesforce_export.exceptions import ConfigurationError
from airflow_provider_salesforce_export.export.window import Window, partition_name

DAY = datetime(2026, 11, 20, tzinfo=timezone.utc)


def test_the_window_is_half_open():
    window = Window(DAY, DAY + timedelta(days=1))

    assert window.condition("SystemModstamp") == (
        "SystemModstamp >= 2026-11-20T00:00:00.000Z AND SystemModstamp < 2026-11-21T00:00:00.000Z"
    )


@pytest.mark.parametrize("end", [DAY, DAY - timedelta(days=1), DAY + timedelta(microseconds=1)])
def test_an_empty_window_is_refused_with_the_line_to_write(end):
    with pytest.raises(ConfigurationError, match="CronDataIntervalTimetable"):
        Window(DAY, end)


@pytest.mark.parametrize(
    ("moment", "name"),
    [
        (DAY, "2026-11-20T000000Z"),
        (datetime(2026, 11, 20, 1, 0, tzinfo=timezone(timedelta(hours=2))), "2026-11-19T230000Z"),
        (DAY + timedelta(microseconds=7), "2026-11-20T000000.000007Z"),
    ],
)
def test_a_partition_is_named_in_utc(moment, name):
    assert partition_name(moment) == name
