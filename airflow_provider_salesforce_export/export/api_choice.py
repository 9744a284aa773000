"""Which of Salesforce's APIs reads an export, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_salesforce_export.exceptions import ConfigurationError
from airflow_provider_salesforce_export.export.bulk_rows import unreadable
from airflow_provider_salesforce_export.export.schema import resolve_schema

if TYPE_CHECKING:
    from airflow_provider_salesforce_export.export.plan import Request
    from airflow_provider_salesforce_export.export.schema import Schema
    from airflow_provider_salesforce_export.salesforce.client import SalesforceClient


def choose_api(client: SalesforceClient, request: Request, total: int) -> tuple[str, str, Schema | None]:
    """
    Return ``rest`` or ``bulk``, the reason in words, and the columns with all their types where they were looked up.

    :param client: The org.
    :param request: What is to be exported, its fields as people write them.
    :param total: Rows, as counted.
    :raises ConfigurationError: ``api="bulk"`` was asked for, and there are fields that Bulk API 2.0 cannot read.
    """
    if not total:
        return "rest", "there are no rows, so that a job is not needed", None
    if request.api == "rest":
        return "rest", "api='rest' was asked for", None
    if request.api == "auto":
        if request.pagination != "auto":
            return "rest", f"pagination={request.pagination!r} was asked for", None
        if total < request.bulk_threshold:
            return "rest", f"these are fewer than bulk_threshold={request.bulk_threshold}", None
        reason = f"these are not fewer than bulk_threshold={request.bulk_threshold}"
    else:
        reason = "api='bulk' was asked for"
    schema = resolve_schema(client, request.query.sobject, request.query.fields, with_parents=True)
    refused = unreadable(schema)
    if refused is None:
        return "bulk", reason, schema
    if request.api == "bulk":
        raise ConfigurationError(
            f"Bulk API 2.0 cannot read these fields of {request.object_type} as REST does: {refused}. Leave them out "
            "of the object type, or use api='auto' or 'rest'."
        )
    return "rest", f"Bulk API 2.0 cannot read {refused}", schema
