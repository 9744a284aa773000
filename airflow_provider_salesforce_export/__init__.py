"""
Scheduled Salesforce extraction for Apache Airflow.

The public names are imported when they are first used, so that a DAG file parses fast.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_provider_salesforce_export.assets import export_asset, salesforce_asset
    from airflow_provider_salesforce_export.export.reading import read_manifest, read_rows
    from airflow_provider_salesforce_export.hooks.salesforce_export import SalesforceExportHook
    from airflow_provider_salesforce_export.object_types import CONTACTS, DEALS, NOTES, ObjectType
    from airflow_provider_salesforce_export.operators.export import SalesforceExportOperator
    from airflow_provider_salesforce_export.params import arguments_from_params, export_params
    from airflow_provider_salesforce_export.task_groups import SalesforceExportTaskGroup
    from airflow_provider_salesforce_export.version import __version__

__all__ = [
    "CONTACTS",
    "DEALS",
    "NOTES",
    "ObjectType",
    "SalesforceExportHook",
    "SalesforceExportOperator",
    "SalesforceExportTaskGroup",
    "__version__",
    "arguments_from_params",
    "export_asset",
    "export_params",
    "read_manifest",
    "read_rows",
    "salesforce_asset",
]

_MODULES = {
    "CONTACTS": "object_types",
    "DEALS": "object_types",
    "NOTES": "object_types",
    "ObjectType": "object_types",
    "SalesforceExportHook": "hooks.salesforce_export",
    "SalesforceExportOperator": "operators.export",
    "SalesforceExportTaskGroup": "task_groups",
    "__version__": "version",
    "arguments_from_params": "params",
    "export_asset": "assets",
    "export_params": "params",
    "read_manifest": "export.reading",
    "read_rows": "export.reading",
    "salesforce_asset": "assets",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
