"""What the demos claim of an export is compared with the org's own database."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

from airflow_provider_salesforce_export.demo.surroundings import DemoError

if TYPE_CHECKING:
    from airflow_provider_salesforce_export.sandbox import SandboxOrg


def require_every_record_once(ids: Iterable[str], org: SandboxOrg, sobject: str) -> None:
    """
    Make sure that an export has every record of an sObject, and none twice.

    :param ids: The exported Ids.
    :param org: The org.
    :param sobject: The sObject.
    :raises DemoError: It has not.
    """
    with org.store.reading() as connection:
        expected = Counter(row[0] for row in connection.execute(f'SELECT Id FROM "{sobject}" WHERE IsDeleted = 0'))
    exported = Counter(ids)
    if exported != expected:
        lost, doubled = (expected - exported).total(), (exported - expected).total()
        raise DemoError(f"{sobject}: {lost} records are missing, {doubled} are too many.")
