"""Metrics by Airflow's own statistics: StatsD, Datadog or OpenTelemetry, as ``[metrics]`` in its configuration says."""

from __future__ import annotations

from datetime import timedelta

from airflow.providers.common.compat.sdk import Stats

PREFIX = "salesforce_export."


class AirflowMeter:
    """
    Hands what happens on to Airflow's statistics, by names with ``salesforce_export.`` in front.

    Where no metrics are configured, Airflow drops them.

    :param tags: Put on every metric, such as ``conn_id``. Plain StatsD has no tags, and Airflow leaves them out there.
    """

    def __init__(self, **tags: str) -> None:
        self._tags = tags

    def count(self, name: str, number: int = 1, **tags: str) -> None:
        """
        Add to a counter.

        :param name: Which one.
        :param number: How much.
        :param tags: Of what.
        """
        Stats.incr(PREFIX + name, number, tags=self._tags | tags)

    def gauge(self, name: str, value: float, **tags: str) -> None:
        """
        Set what has a value at each moment.

        :param name: Which one.
        :param value: The value now.
        :param tags: Of what.
        """
        Stats.gauge(PREFIX + name, value, tags=self._tags | tags)

    def time(self, name: str, seconds: float, **tags: str) -> None:
        """
        Record how long something took.

        :param name: What.
        :param seconds: How long; Airflow takes a number for milliseconds, and a timedelta for what it is.
        :param tags: Of what.
        """
        Stats.timing(PREFIX + name, timedelta(seconds=seconds), tags=self._tags | tags)
