"""
Record Ids as numbers, so that the space between two of them can be cut.

An Id has a prefix of three characters that names the sObject, then twelve digits in base 62. Its 18-character form
adds a checksum; order and arithmetic concern the first 15 characters alone. (Salesforce Help: "What are the
differences between 15 and 18 character record IDs?")
"""

from __future__ import annotations

import string
from collections.abc import Iterable

DIGITS = string.digits + string.ascii_uppercase + string.ascii_lowercase
"""Base 62 in the order in which Salesforce sorts Ids: that of ASCII."""

_PREFIX_LENGTH = 3
_LENGTH = 15
_VALUES = {digit: value for value, digit in enumerate(DIGITS)}


def sort_key(record_id: str) -> str:
    """Return the part of an Id that decides its order: the 15-character form."""
    return record_id[:_LENGTH]


def sort_keys(record_ids: Iterable[str]) -> list[str]:
    """Return :func:`sort_key` of many Ids."""
    return [record_id[:_LENGTH] for record_id in record_ids]


def interpolate(first: str, last: str, part: int, parts: int) -> str:
    """
    Return the Id that lies some parts of the way from one Id to another; no record need have it.

    :param first: An Id, in its 15- or 18-character form.
    :param last: Another of the same sObject.
    :param part: How many parts of the way: 0 gives the first Id, ``parts`` the last.
    :param parts: Into how many parts the way is divided.
    :returns: In the 15-character form.
    """
    low, high = _to_number(first), _to_number(last)
    return first[:_PREFIX_LENGTH] + _to_digits(low + (high - low) * part // parts)


def distance(first: str, last: str) -> int:
    """
    Return how many steps of one Id it is from one to another.

    :param first: An Id, in its 15- or 18-character form.
    :param last: Another of the same sObject.
    """
    return _to_number(last) - _to_number(first)


def _to_number(record_id: str) -> int:
    number = 0
    for digit in record_id[_PREFIX_LENGTH:_LENGTH]:
        number = number * len(DIGITS) + _VALUES[digit]
    return number


def _to_digits(number: int) -> str:
    digits = ""
    for _ in range(_LENGTH - _PREFIX_LENGTH):
        number, value = divmod(number, len(DIGITS))
        digits = DIGITS[value] + digits
    return digits
