import json
from datetime import datetime, timedelta, timezone

import pytest

from airflow_provider_salesforce_export.export import gap
from airflow_provider_salesforce_export.export.gap import gap_before
from airflow_provider_salesforce_export.export.manifest import manifest_in
from airflow_provider_salesforce_export.export.partitions import NAMES
from airflow_provider_salesforce_export.export.window import Window


def day(number):
    return datetime(2026, 11, number, tzinfo=timezone.utc)


def window(start, end):
    return Window(day(start), day(end))


@pytest.fixture(params=["plain", "hive"])
def name(request):
    return NAMES[request.param]


@pytest.fixture
def publish(name, tmp_path):
    def publish(run, *, as_of=None):
        folder = tmp_path / name(run)
        folder.mkdir(parents=True, exist_ok=True)
        start, end = run.as_text() if isinstance(run, Window) else (None, None)
        manifest = {"window": {"start": start, "end": end} if start else None, "as_of": as_of and as_of.isoformat()}
        manifest_in(folder).write_text(json.dumps(manifest))

    return publish


def test_windows_that_meet_leave_no_gap(publish, name, tmp_path):
    publish(window(17, 18))
    publish(window(19, 20))  # backfilled in another order

    assert gap_before(window(18, 19), tmp_path, name(window(18, 19))) is None


def test_days_of_no_run_are_a_gap(publish, name, tmp_path):
    publish(window(14, 15))
    publish(window(15, 16))

    assert gap_before(window(18, 19), tmp_path, name(window(18, 19))) == (day(16), day(18))


def test_what_a_lookback_reads_is_in_no_gap(publish, name, tmp_path):
    publish(window(15, 16))
    looking_back = Window(day(18), day(19), lookback=timedelta(days=2))

    assert gap_before(looking_back, tmp_path, name(looking_back)) is None


def test_a_full_export_reaches_to_when_it_read(publish, name, tmp_path):
    publish(window(14, 15))
    publish(day(17), as_of=day(18) + timedelta(seconds=3))

    assert gap_before(window(18, 19), tmp_path, name(window(18, 19))) is None
    assert gap_before(window(19, 20), tmp_path, name(window(19, 20))) == (day(18) + timedelta(seconds=3), day(19))


def test_a_later_export_that_reaches_less_far_hides_no_window(publish, name, tmp_path):
    publish(window(10, 18))
    publish(day(12), as_of=day(12))
    publish(window(13, 14))

    assert gap_before(window(18, 19), tmp_path, name(window(18, 19))) is None


def test_the_first_export_and_one_that_is_repeated_have_nothing_before(publish, name, tmp_path):
    assert gap_before(window(18, 19), tmp_path, name(window(18, 19))) is None
    publish(window(18, 19))
    assert gap_before(window(18, 19), tmp_path, name(window(18, 19))) is None


def test_not_every_manifest_of_a_year_is_read(publish, name, tmp_path, monkeypatch):
    monkeypatch.setattr(gap, "_LOOKED_AT", 2)
    publish(window(10, 18))
    for number in (11, 12):
        publish(window(number, number + 1))

    assert gap_before(window(18, 19), tmp_path, name(window(18, 19))) == (day(13), day(18))
