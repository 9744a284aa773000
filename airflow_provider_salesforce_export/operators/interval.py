"""Which data interval a run exports; Airflow 3 makes runs with none, and runs that take the place of another."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from airflow_provider_salesforce_export.exceptions import ConfigurationError
from airflow_provider_salesforce_export.salesforce.soql import datetime_literal

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_salesforce_export.export.window import Window


def window_of(context: Context, *, since: datetime | None, until: datetime | None) -> Window:
    """
    Return the window of an incremental run: its data interval, or what was asked for instead.

    :param context: The task's context.
    :param since: The start to take instead.
    :param until: The end to take instead.
    :raises ConfigurationError: There is no data interval, or the window ends before it begins.
    """
    from airflow_provider_salesforce_export.export.window import Window

    run = context["dag_run"]
    start, end = since or run.data_interval_start, until or run.data_interval_end
    if start is None or end is None:
        raise ConfigurationError(
            "This incremental run has no data interval, because it was triggered without a logical date. "
            "Trigger it with one, or set since and until, or use mode='full'."
        )
    return Window(start, end)


def refuse_place_of_next_run(context: Context) -> None:
    """
    Refuse a run whose logical date is that of the run after it, which Airflow would then silently leave out.

    A run by hand at the start of an interval is given the interval before it. Neither the scheduler nor a backfill
    makes a second run of one logical date; a backfill that repeats it keeps its data interval.

    Only a full minute can be such a start: schedules by cron have no others. Under timetables that give each run by
    hand the interval that ends with it (``CronTriggerTimetable`` with an ``interval``, ``DeltaDataIntervalTimetable``),
    all of them look like that.

    :param context: The task's context.
    :raises ConfigurationError: It is such a run.
    """
    run = context["dag_run"]
    start, end = run.data_interval_start, run.data_interval_end
    if start is None or end is None or not start < end == run.logical_date or end.second or end.microsecond:
        return
    if context["dag"].timetable.can_be_scheduled:
        raise ConfigurationError(
            f"This run exports the interval from {datetime_literal(start)} to {datetime_literal(end)}, and takes "
            f"the place of the run of the interval that begins at {datetime_literal(end)}, because that is its "
            "logical date: Airflow makes one run of a logical date, and would leave the other out. Nothing was "
            "exported. Delete this run in Airflow, and trigger it with another logical date, a second later. If "
            "the run of the next interval should be there by now, backfill it."
        )
