"""The field by which an incremental run chooses its records."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from airflow_provider_salesforce_export.exceptions import ConfigurationError
from airflow_provider_salesforce_export.object_types import DEFAULT_CURSOR_FIELD

if TYPE_CHECKING:
    from airflow_provider_salesforce_export.object_types import ObjectType

log = logging.getLogger(__name__)

_FALLBACKS = {
    "LastModifiedDate": "changes that automation makes do not move it",
    "CreatedDate": "only new records are found, no changed ones",
}


def choose_cursor_field(object_type: ObjectType, description: dict[str, Any]) -> str:
    """
    Return the cursor field of an object type; where it named none and the sObject has no SystemModstamp, the next best.

    :param object_type: What is to be exported.
    :param description: What Salesforce's describe call says of its sObject.
    :raises ConfigurationError: The field is not there for this user, is no datetime, or cannot be filtered by.
    """
    usable = {
        field["name"].lower(): field["name"]
        for field in description["fields"]
        if field["type"] == "datetime" and field["filterable"]
    }
    wanted = object_type.cursor_field
    if wanted.lower() in usable:
        return str(usable[wanted.lower()])
    for fallback, drawback in _FALLBACKS.items() if wanted == DEFAULT_CURSOR_FIELD else ():
        if fallback.lower() in usable:
            log.warning("%s has no %s: reading by %s (%s).", object_type.sobject, wanted, fallback, drawback)
            return fallback
    raise ConfigurationError(
        f"An incremental run cannot choose {object_type.sobject} records by {wanted!r}: the user sees no such datetime "
        f"field that can be filtered by. It sees: {', '.join(sorted(usable.values())) or 'none'}. Set cursor_field of "
        "the object type, ask a Salesforce admin for field-level security, or use mode='full'."
    )
