"""Which of Salesforce's APIs reads an export, and why."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from airflow_provider_salesforce_export.exceptions import ConfigurationError
from airflow_provider_salesforce_export.export.bulk_rows import unreadable
from airflow_provider_salesforce_export.export.schema import resolve_schema

if TYPE_CHECKING:
    from airflow_provider_salesforce_export.export.plan import Request
    from airflow_provider_salesforce_export.export.schema import Describe, Schema

_LONGEST_QUERY = 16_384 - 512
"""
Characters of a query in a URL: what the *REST API Developer Guide*, "Status Codes and Error Responses" (414), allows of
the URL, without its path and what pages add to the query.
"""


def choose_api(describe: Describe, request: Request, schema: Schema, total: int | None) -> tuple[str, str, Schema]:
    """
    Return ``rest`` or ``bulk``, the reason in words, and the columns, with all their types for ``bulk``.

    :param describe: Asks the org.
    :param request: What is to be exported, its fields as people write them.
    :param schema: Its columns.
    :param total: Rows, as counted; None where to count them takes too long.
    :raises ConfigurationError: ``api="bulk"`` was asked for, and there are fields that Bulk API 2.0 cannot read; or the
        query is too long for REST, and there is no other way.
    """
    if total == 0:
        return "rest", "there are no rows, so that a job is not needed", schema
    query = replace(request.query, fields=schema.paths)
    length = len(urlencode({"q": query.select()}))
    api, reason = _wanted(request, total, is_too_long=length > _LONGEST_QUERY)
    if api == "bulk":
        typed = resolve_schema(
            describe, query.sobject, request.query.fields, optional=request.optional_fields, with_parents=True
        )
        refused = unreadable(typed)
        if refused is None:
            return "bulk", reason, typed
        if request.api == "bulk":
            raise ConfigurationError(
                f"Bulk API 2.0 cannot read these fields of {request.object_type} as REST does: {refused}. Leave them "
                "out of the object type, or use api='auto' or 'rest'."
            )
        reason = f"Bulk API 2.0 cannot read {refused}"
    if length > _LONGEST_QUERY:
        raise ConfigurationError(
            f"The query of {request.object_type} is too long for REST: {len(schema.columns)} fields make {length} "
            f"characters in a URL, and Salesforce takes {_LONGEST_QUERY} at most. It is to be read by REST because "
            f"{reason}: use api='bulk', or name fewer fields."
        )
    return "rest", reason, schema


def _wanted(request: Request, total: int | None, *, is_too_long: bool) -> tuple[str, str]:
    if request.api != "auto":
        return request.api, f"api={request.api!r} was asked for"
    if request.pagination != "auto":
        return "rest", f"pagination={request.pagination!r} was asked for"
    if is_too_long:
        return "bulk", "the query is too long for a URL"
    if total is None:
        return "bulk", "it takes too long to count the rows"
    if total < request.bulk_threshold:
        return "rest", f"fewer rows than bulk_threshold={request.bulk_threshold}"
    return "bulk", f"not fewer rows than bulk_threshold={request.bulk_threshold}"
