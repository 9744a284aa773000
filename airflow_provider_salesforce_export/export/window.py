"""Which records an incremental run reads."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypedDict

from airflow_provider_salesforce_export.exceptions import ConfigurationError, ExportError
from airflow_provider_salesforce_export.salesforce.soql import datetime_literal


class WindowRead(TypedDict):
    """What an incremental run read: from ``start`` and before ``end``, as ISO 8601 texts in UTC."""

    cursor_field: str
    start: str
    end: str


@dataclass(frozen=True)
class Window:
    """
    A stretch of time, half-open: from ``start``, and before ``end``. Windows that meet neither share nor lose a record.

    :param start: With a time zone.
    :param end: With a time zone, after ``start``.
    :param lookback: How much earlier than ``start`` reading begins, for those who prefer overlap.
    :raises ConfigurationError: The window is empty, so that it would hide every record.
    """

    start: datetime
    end: datetime
    lookback: timedelta = timedelta(0)

    def __post_init__(self) -> None:
        if datetime_literal(self.start) >= datetime_literal(self.end):
            raise ConfigurationError(
                f"The window of this incremental run is empty: {self.start.isoformat()} to {self.end.isoformat()}. "
                "Give the DAG a schedule with data intervals, such as "
                'CronDataIntervalTimetable("0 2 * * *", timezone="UTC"), or set since and until.'
            )

    def condition(self, cursor_field: str) -> str:
        """Return the SOQL condition of the window."""
        start, end = self.as_text()
        return f"{cursor_field} >= {start} AND {cursor_field} < {end}"

    def require_end(self, org_time: datetime | None) -> None:
        """
        Make sure that the window is over for the org, too, whose clock gives records their times.

        :param org_time: What time it is there, to the second; None where nobody knows.
        :raises ExportError: It is not: records that are still to come would be in no window.
        """
        if org_time and org_time + timedelta(seconds=1) < self.end:
            raise ExportError(
                f"The window of this incremental run ends at {datetime_literal(self.end)}, and by Salesforce's clock "
                f"it is {datetime_literal(org_time)}: this worker's clock is ahead. Nothing was read. Whoever runs the "
                "worker sets its clock (NTP); another try succeeds once the window is over."
            )

    def as_text(self) -> tuple[str, str]:
        """Return from when and before when records are read, as ISO 8601 texts in UTC, to the millisecond."""
        return datetime_literal(self.start - self.lookback), datetime_literal(self.end)
