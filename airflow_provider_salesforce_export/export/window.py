"""Which records an incremental run reads."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from airflow_provider_salesforce_export.exceptions import ConfigurationError
from airflow_provider_salesforce_export.salesforce.soql import datetime_literal


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

    def as_text(self) -> tuple[str, str]:
        """Return from when and before when records are read, as ISO 8601 texts in UTC, to the millisecond."""
        return datetime_literal(self.start - self.lookback), datetime_literal(self.end)
