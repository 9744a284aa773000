"""
A Salesforce org on localhost, to develop and test against.

It speaks the REST and OAuth dialect of Salesforce that this package meets, over generated data, and can be told to
misbehave. It needs the extra ``sandbox`` and imports no Airflow::

    with SandboxServer(SandboxSettings(contacts=500)) as server:
        key = server.org.issue_token()

From a shell: ``python -m airflow_provider_salesforce_export.sandbox``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_provider_salesforce_export.sandbox.org import SandboxOrg
    from airflow_provider_salesforce_export.sandbox.server import SandboxServer
    from airflow_provider_salesforce_export.sandbox.settings import SandboxSettings

__all__ = ["SandboxOrg", "SandboxServer", "SandboxSettings"]

_HOMES = {"SandboxOrg": "org", "SandboxServer": "server", "SandboxSettings": "settings"}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
