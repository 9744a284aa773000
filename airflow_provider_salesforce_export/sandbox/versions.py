"""The API versions that the org speaks."""

from __future__ import annotations

import re

from airflow_provider_salesforce_export.sandbox.errors import SalesforceError

OLDEST = 31
LATEST = 68
_RETIRED = range(21, OLDEST)
_VERSION = re.compile(r"v(\d+)\.0")
_SEASONS = ("Winter", "Spring", "Summer")


def versions() -> list[dict[str, str]]:
    """Return the reply of ``GET /services/data/``."""
    return [
        {"label": _label(number), "url": f"/services/data/v{number}.0", "version": f"{number}.0"}
        for number in range(OLDEST, LATEST + 1)
    ]


def check_version(text: str) -> str:
    """
    Return the version in a URL, such as 68.0.

    :param text: What stands there, such as v68.0.
    :raises SalesforceError: It never was (NOT_FOUND) or is no more (UNSUPPORTED_API_VERSION).
    """
    match = _VERSION.fullmatch(text)
    number = int(match[1]) if match else 0
    if number in _RETIRED:
        raise SalesforceError(410, "UNSUPPORTED_API_VERSION", f"API version {number}.0 has been retired.")
    if not OLDEST <= number <= LATEST:
        raise SalesforceError(404, "NOT_FOUND", "The requested resource does not exist")
    return f"{number}.0"


def _label(number: int) -> str:
    # Three releases a year; v32 was Winter '15.
    years, season = divmod(number - 32, len(_SEASONS))
    return f"{_SEASONS[season]} '{15 + years}"
