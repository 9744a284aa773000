"""
The name of the partition that a run fills. Two runs of the same name would replace each other.

*plain*: the moment of a full run, ``2026-11-20T020000Z``; both ends of a window,
``2026-11-20T020000Z--2026-11-21T020000Z``.

*hive*: ``ds=`` and the UTC day on which it begins. That is the whole name for a window of just that day. Whatever a
day does not say stands in a partition below it, as in ``ds=2026-11-20/window=050000Z--060000Z`` for an hour, and
``ds=2026-11-20/snapshot=020000Z`` for all records as of a moment. So runs of one kind have the same keys, as the
readers of Hive partitions want it, and those of different kinds never share a folder.
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from airflow_provider_salesforce_export.export.window import Window

_DAY, _TIME = "%Y-%m-%d", "%H%M%S"


def plain(run: Window | datetime) -> str:
    """
    Return a name that begins with the time.

    :param run: The window of an incremental run, or the moment of a full one, with a time zone.
    """
    if isinstance(run, Window):
        return f"{plain(run.start)}--{plain(run.end)}"
    return f"{_utc(run):{_DAY}}T{_time(run)}"


def hive(run: Window | datetime) -> str:
    """
    Return a name that begins with the day, as the readers of Hive partitions understand it.

    :param run: The window of an incremental run, or the moment of a full one, with a time zone.
    """
    if not isinstance(run, Window):
        return f"ds={_utc(run):{_DAY}}/snapshot={_time(run)}"
    start, end = _utc(run.start), _utc(run.end)
    day = f"ds={start:{_DAY}}"
    is_that_day = start == start.replace(hour=0, minute=0, second=0, microsecond=0)
    if is_that_day and end - start == timedelta(days=1):
        return day
    return f"{day}/window={_time(start)}--{_time(end) if end.date() == start.date() else plain(end)}"


NAMES = {"plain": plain, "hive": hive}
"""By ``partition_style``."""


def _utc(moment: datetime) -> datetime:
    return moment.astimezone(timezone.utc)


def _time(moment: datetime) -> str:
    utc = _utc(moment)
    return f"{utc:{_TIME}}{f'.{utc:%f}' if utc.microsecond else ''}Z"
