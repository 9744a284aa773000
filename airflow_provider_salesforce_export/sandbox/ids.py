"""Salesforce's record Ids: 15 characters in base 62, and the 18-character form with a checksum of the capitals."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_CHECKSUM_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
_FORM = re.compile(r"[0-9A-Za-z]{15}(?:[0-9A-Za-z]{3})?")
_DIGITS = {character: value for value, character in enumerate(ALPHABET)}


def encode(number: int, width: int) -> str:
    """
    Write a number in base 62, in ASCII order of the digits.

    :param number: What to write.
    :param width: Number of characters; padded with zeros on the left.
    """
    characters = []
    for _ in range(width):
        number, digit = divmod(number, 62)
        characters.append(ALPHABET[digit])
    return "".join(reversed(characters))


def decode(text: str) -> int:
    """
    Read a number in base 62.

    :param text: Digits, most significant first.
    """
    number = 0
    for character in text:
        number = number * 62 + _DIGITS[character]
    return number


def _capitals(text: str) -> int:
    return sum(1 << place for place, character in enumerate(text) if "A" <= character <= "Z")


def checksum(record_id: str) -> str:
    """
    Return the three characters that make an 18-character Id of a 15-character one.

    :param record_id: An Id, of which the first 15 characters count.
    """
    return "".join(_CHECKSUM_ALPHABET[_capitals(record_id[start : start + 5])] for start in (0, 5, 10))


def to_18(record_id: str) -> str:
    """
    Return the 18-character form of an Id. Its order is that of the 15 characters.

    :param record_id: An Id of 15 or 18 characters; no record need have it.
    :raises ValueError: It is no Id, or its checksum is wrong.
    """
    if not _FORM.fullmatch(record_id):
        raise ValueError(f"not a Salesforce Id: {record_id!r}")
    whole = record_id[:15] + checksum(record_id)
    if len(record_id) == 18 and record_id.upper()[15:] != whole[15:]:
        raise ValueError(f"wrong checksum in Salesforce Id: {record_id!r}")
    return whole


_PAIRS = [(first + second, _capitals(first + second) << 3) for first in ALPHABET for second in ALPHABET]


def sequence(head: str, start: int, count: int) -> Iterator[str]:
    """
    Yield 18-character Ids that follow one another.

    :param head: First 10 characters: the object's prefix, the instance, leading digits.
    :param start: Number in the last five characters of the first Id.
    :param count: How many Ids.
    """
    tail = checksum(head + "00000")[:2]
    while count > 0:
        high, low = divmod(start, len(_PAIRS))
        stem = encode(high, 3)
        bits = _capitals(stem)
        pairs = _PAIRS[low : low + count]
        for pair, pair_bits in pairs:
            yield f"{head}{stem}{pair}{tail}{_CHECKSUM_ALPHABET[bits | pair_bits]}"
        start += len(pairs)
        count -= len(pairs)


def next_id(record_id: str) -> str:
    """
    Return the Id that follows another, in 18 characters.

    :param record_id: The last Id given out.
    """
    return to_18(record_id[:3] + encode(decode(record_id[3:15]) + 1, 12))
