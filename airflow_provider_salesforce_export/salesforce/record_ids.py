"""
Record Ids as numbers, so that the space between two of them can be cut.

An Id has a prefix of three characters that names the sObject, then twelve digits in base 62. Its 18-character form
adds a checksum; order and arithmetic concern the first 15 characters alone. (Salesforce Help: "What are the
differences between 15 and 18 character record IDs?")
"""

from __future__ import annotations

import string

DIGITS = string.digits + string.ascii_uppercase + string.ascii_lowercase
"""Base 62 in the order in which Salesforce sorts Ids: that of ASCII."""

_PREFIX_LENGTH = 3
_LENGTH = 15
_VALUES = {digit: value for value, digit in enumerate(DIGITS)}


def sort_key(record_id: str) -> str:
    """Return the part of an Id that decides its order: the 15-character form."""
    return record_id[:_LENGTH]


def distance(first: str, last: str) -> int:
    """Return how far the second Id lies above the first, in Ids."""
    return _to_number(last) - _to_number(first)


def cut_evenly(first: str, last: str, slices: int) -> list[str]:
    """
    Return the Ids that cut the space between two Ids into equal slices.

    :param first: The lowest Id, in its 15- or 18-character form.
    :param last: The highest Id, of the same sObject.
    :param slices: How many slices are wanted; fewer come back where the space is too narrow.
    :returns: Rising 15-character Ids, each above ``first`` or equal to it and below ``last``; an Id that no record
        has is a fine bound for a query.
    """
    low, width = _to_number(first), distance(first, last)
    steps = {width * cut // slices for cut in range(1, slices)}
    return [first[:_PREFIX_LENGTH] + _to_digits(low + step) for step in sorted(steps) if step < width]


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
