"""How numbers stand in the log."""

from __future__ import annotations


def counted(number: int, noun: str) -> str:
    """
    Return a number with its noun: ``1 page``, ``1,403 pages``.

    :param number: The number.
    :param noun: The noun for one.
    """
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def size(number: int) -> str:
    """
    Return a number of bytes: ``812 bytes``, ``8.1 kB``, ``3.2 MB``, ``1,204.5 MB``.

    :param number: The number of bytes.
    """
    if number < 1_000:
        return counted(number, "byte")
    return f"{number / 1e3:.1f} kB" if number < 999_950 else f"{number / 1e6:,.1f} MB"
