from datetime import datetime, timedelta, timezone
from itertools import combinations

import pytest

from airflow_provider_salesforce_export.export.partitions import hive, plain
from airflow_provider_salesforce_export.export.window import Window

DAY = datetime(2026, 11, 20, tzinfo=timezone.utc)
NOON_IN_TOKYO = datetime(2026, 11, 21, 12, tzinfo=timezone(timedelta(hours=9)))
MICROSECOND = timedelta(microseconds=7)


def window(begin, **length):
    return Window(begin, begin + timedelta(**length))


@pytest.mark.parametrize(
    ("run", "in_plain", "in_hive"),
    [
        (window(DAY, days=1), "2026-11-20T000000Z--2026-11-21T000000Z", "ds=2026-11-20"),
        (
            window(DAY + timedelta(hours=5), hours=1),
            "2026-11-20T050000Z--2026-11-20T060000Z",
            "ds=2026-11-20/window=050000Z--060000Z",
        ),
        (
            window(DAY + timedelta(hours=2), days=1),
            "2026-11-20T020000Z--2026-11-21T020000Z",
            "ds=2026-11-20/window=020000Z--2026-11-21T020000Z",
        ),
        (DAY, "2026-11-20T000000Z", "ds=2026-11-20/snapshot=000000Z"),
        (NOON_IN_TOKYO, "2026-11-21T030000Z", "ds=2026-11-21/snapshot=030000Z"),
        (DAY + MICROSECOND, "2026-11-20T000000.000007Z", "ds=2026-11-20/snapshot=000000.000007Z"),
    ],
)
def test_a_partition_is_named_in_utc_by_its_time(run, in_plain, in_hive):
    assert plain(run) == in_plain
    assert hive(run) == in_hive


@pytest.mark.parametrize("name", [plain, hive])
def test_no_two_runs_fill_one_partition(name):
    moments = [DAY + timedelta(hours=hours) for hours in range(73)]
    runs = [*moments, DAY + MICROSECOND, *(Window(start, end) for start, end in combinations(moments, 2))]
    names = [name(run) for run in runs]

    assert len(set(names)) == len(runs)
    assert [name(moment) for moment in moments] == sorted(name(moment) for moment in moments)


@pytest.mark.parametrize("hours", [1, 6, 24])
def test_the_partitions_of_a_schedule_have_the_same_keys(hours):
    names = [hive(window(DAY + timedelta(hours=hours * number), hours=hours)) for number in range(24)]

    assert len({tuple(part.partition("=")[0] for part in name.split("/")) for name in names}) == 1
    assert names == sorted(names)
