"""What may be chosen for an export: the words, the defaults, and how each argument is read."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from airflow_provider_salesforce_export.export.formats.choices import COMPRESSIONS, FORMATS
from airflow_provider_salesforce_export.operators import arguments

MODES = ("full", "incremental")
PAGINATIONS = ("auto", "offset", "range")
APIS = ("auto", "rest", "bulk")
PARTITION_STYLES = ("plain", "hive")
SCHEMA_CHANGES = ("warn", "fail")
MAX_PAGE_SIZE = 2000
"""Salesforce sends no more records in one reply."""
DEFAULT_SETTLE = timedelta(minutes=5)
"""Peers leave records up to ten minutes: what Salesforce commits late carries the time at which it was begun."""
DEFAULT_BULK_THRESHOLD = 100_000
DEFAULT_BULK_TIMEOUT = timedelta(hours=12)
FULL_REFRESH_PARAM = "{{ params.full_refresh | default(false) }}"

PARSERS: dict[str, Callable[[Any], Any]] = {
    "page_size": lambda value: arguments.whole_number("page_size", value, most=MAX_PAGE_SIZE),
    "mode": lambda value: arguments.choice("mode", value, MODES),
    "full_refresh": lambda value: arguments.flag("full_refresh", value),
    "include_deleted": lambda value: arguments.flag("include_deleted", value),
    "since": lambda value: arguments.moment("since", value),
    "until": lambda value: arguments.moment("until", value),
    "lookback": lambda value: arguments.duration("lookback", value),
    "settle": lambda value: arguments.duration("settle", value),
    "api": lambda value: arguments.choice("api", value, APIS),
    "bulk_threshold": lambda value: arguments.whole_number("bulk_threshold", value),
    "bulk_timeout": lambda value: arguments.duration("bulk_timeout", value),
    "output_format": lambda value: arguments.choice("output_format", value, FORMATS),
    "compression": lambda value: arguments.optional_choice("compression", value, COMPRESSIONS),
    "flatten": lambda value: arguments.flag("flatten", value),
    "partition_style": lambda value: arguments.choice("partition_style", value, PARTITION_STYLES),
    "on_schema_change": lambda value: arguments.choice("on_schema_change", value, SCHEMA_CHANGES),
    "api_quota_limit": lambda value: arguments.share("api_quota_limit", value),
}
"""How the arguments that may be templates are read, once rendered."""
