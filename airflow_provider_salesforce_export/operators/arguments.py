"""
The words that DAG authors write, checked.

An argument may be a Jinja template, which is known only when the task runs: it is let through when the DAG is parsed,
and checked after rendering. Rendering makes texts of numbers and flags, so these are accepted as texts too.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta

from airflow_provider_salesforce_export.exceptions import ConfigurationError

_BLANK = (None, "", "None")
_FLAGS = {"true": True, "false": False}


def is_template(value: object) -> bool:
    """Return whether a value is still to be rendered."""
    return isinstance(value, str) and ("{{" in value or "{%" in value)


def whole_number(name: str, value: object, *, least: int = 1, most: int | None = None) -> int:
    """
    Return a whole number.

    :param name: The argument's name, for the message.
    :param value: What was written.
    :param least: The lowest number accepted.
    :param most: The highest number accepted; None for any.
    :raises ConfigurationError: Not a number in that range.
    """
    expected = f"a whole number from {least} to {most}" if most else f"a whole number of {least} or more"
    if isinstance(value, (int, str)) and not isinstance(value, bool):
        digits = str(value).strip()
        if digits.isdecimal() and int(digits) >= least and (most is None or int(digits) <= most):
            return int(digits)
    raise ConfigurationError(f"{name} must be {expected}, not {value!r}.")


def flag(name: str, value: object) -> bool:
    """
    Return a flag.

    :param name: The argument's name, for the message.
    :param value: What was written.
    :raises ConfigurationError: Neither true nor false.
    """
    try:
        return _FLAGS[str(value).strip().lower()]
    except KeyError:
        raise ConfigurationError(f"{name} must be True or False, not {value!r}.") from None


def choice(name: str, value: object, choices: Collection[str]) -> str:
    """
    Return one of several words.

    :param name: The argument's name, for the message.
    :param value: What was written.
    :param choices: The words accepted.
    :raises ConfigurationError: None of them.
    """
    if isinstance(value, str) and value in choices:
        return value
    raise ConfigurationError(f"{name} must be one of {', '.join(choices)}, not {value!r}.")


def optional_choice(name: str, value: object, choices: Collection[str]) -> str | None:
    """
    Return one of several words, or None for what is blank.

    :param name: The argument's name, for the message.
    :param value: What was written.
    :param choices: The words accepted.
    :raises ConfigurationError: None of them.
    """
    return None if value in _BLANK else choice(name, value, choices)


def moment(name: str, value: object) -> datetime | None:
    """
    Return a datetime with a time zone, or None for what is blank.

    :param name: The argument's name, for the message.
    :param value: A datetime, or a text in ISO 8601.
    :raises ConfigurationError: Not a datetime, or one without a time zone.
    """
    if value in _BLANK:
        return None
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value.strip().replace("Z", "+00:00"))
        except ValueError:
            raise ConfigurationError(
                f"{name} must be a datetime such as 2026-11-20T00:00:00Z, not {value!r}."
            ) from None
    if not isinstance(value, datetime):
        raise ConfigurationError(f"{name} must be a datetime, not {value!r}.")
    if value.tzinfo is None:
        raise ConfigurationError(f"{name} has no time zone: write it with one, such as {value.isoformat()}Z for UTC.")
    return value


def duration(name: str, value: object) -> timedelta:
    """
    Return a stretch of time.

    :param name: The argument's name, for the message.
    :param value: A timedelta, or seconds as a number or a text.
    :raises ConfigurationError: Neither, or below zero.
    """
    try:
        length = value if isinstance(value, timedelta) else timedelta(seconds=_number(value))
    except (ValueError, OverflowError):
        length = timedelta(-1)
    if length < timedelta(0):
        raise ConfigurationError(f"{name} must be a timedelta, or seconds of 0 or more, not {value!r}.")
    return length


def share(name: str, value: object) -> float:
    """
    Return a part of a whole.

    :param name: The argument's name, for the message.
    :param value: A number above 0 and up to 1, or such a text.
    :raises ConfigurationError: Something else.
    """
    try:
        part = _number(value)
    except ValueError:
        part = 0.0
    if not 0 < part <= 1:
        raise ConfigurationError(f"{name} must be a number above 0 and up to 1, not {value!r}.")
    return part


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise ValueError
    return float(value)
