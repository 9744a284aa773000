"""What is counted and timed, told to whoever keeps metrics; this package's lower rooms know nothing of Airflow's."""

from __future__ import annotations

from typing import Protocol


class Meter(Protocol):
    """
    Is told what happens, from any thread, and raises nothing. Tags say of what, such as ``object_type="contacts"``.

    The names are those of ``docs/metrics.md``.
    """

    def count(self, name: str, number: int = 1, **tags: str) -> None:
        """
        Add to a counter.

        :param name: Which one.
        :param number: How much.
        :param tags: Of what.
        """

    def gauge(self, name: str, value: float, **tags: str) -> None:
        """
        Set what has a value at each moment.

        :param name: Which one.
        :param value: The value now.
        :param tags: Of what.
        """

    def time(self, name: str, seconds: float, **tags: str) -> None:
        """
        Record how long something took.

        :param name: What.
        :param seconds: How long.
        :param tags: Of what.
        """


class Unmetered:
    """Keeps no metrics."""

    def count(self, name: str, number: int = 1, **tags: str) -> None:
        """Do nothing."""

    def gauge(self, name: str, value: float, **tags: str) -> None:
        """Do nothing."""

    def time(self, name: str, seconds: float, **tags: str) -> None:
        """Do nothing."""


UNMETERED = Unmetered()
