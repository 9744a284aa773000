"""What all contestants export: the contacts of the catalogue, all fields of it."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

from airflow_provider_salesforce_export.export.plan import Request
from airflow_provider_salesforce_export.object_types import CONTACTS
from airflow_provider_salesforce_export.salesforce.client import SalesforceClient
from airflow_provider_salesforce_export.salesforce.soql import Query

if TYPE_CHECKING:
    from airflow_provider_salesforce_export.salesforce.session import Renewal

PAGE_SIZE = 2000
QUERY = Query(CONTACTS.sobject, CONTACTS.all_fields())


class StaticToken:
    """
    A token source with one token that lives for ever.

    :param token: A reply of the token endpoint.
    """

    def __init__(self, token: dict[str, Any]) -> None:
        self._token = token

    def current(self) -> dict[str, Any]:
        """Return the token."""
        return self._token

    def renew(self, rejected: dict[str, Any]) -> Renewal:
        """Fail: the sandbox org refuses no token that it has issued."""
        raise RuntimeError("The org refused the token.")


def contacts_request() -> Request:
    """Return the request that SalesforceExportOperator makes of its defaults."""
    return Request(CONTACTS.name, QUERY, include_deleted=False, page_size=PAGE_SIZE, pagination="auto")


def page_queries(token: dict[str, Any]) -> list[str]:
    """
    Return the queries of pages that are all full, but the last: what nobody can know without having read the Ids.

    :param token: A reply of the token endpoint.
    """
    client = SalesforceClient(StaticToken(token))
    ids = [record["Id"] for batch in client.query(QUERY.select()) for record in batch]
    client.close()
    bounds: list[str | None] = [None, *ids[PAGE_SIZE - 1 : -1 : PAGE_SIZE], None]
    return [QUERY.between(after, until).select() for after, until in pairwise(bounds)]
