"""
Assets of Airflow: the folder that an export fills, on which other DAGs are scheduled, and the sObject that it reads.

Their rules are those of Airflow's documentation, "Asset definitions" and "Asset-aware scheduling".
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, quote, urlsplit

from airflow.providers.common.compat.sdk import Asset, AssetAlias

from airflow_provider_salesforce_export.object_types import ObjectType, resolve_object_type
from airflow_provider_salesforce_export.operators.arguments import is_template

if TYPE_CHECKING:
    from airflow_provider_salesforce_export.export.manifest import Manifest

_SOBJECT_PATH = re.compile(r"/[A-Za-z][A-Za-z0-9_]*")


def export_asset(object_type: str | ObjectType, destination: str) -> Asset | AssetAlias:
    """
    Return what to schedule a DAG on that works with an export: each export that is published is an event of it.

    It is the folder that all runs of the export share, ``{destination}/{object type}``, whatever their partitions. Of
    a mapped operator, Airflow records the events of those folders alone that some DAG names.

    :param object_type: ``"contacts"``, ``"deals"``, ``"notes"``, or an :class:`ObjectType`.
    :param destination: The destination, as the export has it. Where that is a template, its folder is known only when
        it runs: name the folder that you mean; or, for all that comes of the template, pass its very text, which gives
        an asset alias.
    :raises UnknownObjectTypeError: There is no object type of that name.
    """
    name = resolve_object_type(object_type).name
    if is_template(destination):
        return AssetAlias(f"{destination.rstrip('/')}/{name}")
    return Asset(uri=export_uri(destination, name))


def export_uri(destination: str, name: str) -> str:
    """
    Return the URI of the folder that all runs of an export share; a connection's id in the URL is no part of it.

    :param destination: A folder as a URL, or as an absolute path.
    :param name: The name of the object type.
    """
    parts = urlsplit(destination if "://" in destination else f"file://{destination}")
    place = parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=place, path=f"{parts.path.rstrip('/')}/{name}").geturl()


def salesforce_asset(sobject: str, org: str) -> Asset:
    """
    Return an sObject as an asset.

    :param sobject: Its API name.
    :param org: What the org is called: operators say the id of their Airflow connection.
    :raises ValueError: That is no API name.
    """
    return Asset(uri=f"salesforce://{quote(org, safe=':')}/{sobject}")


def sanitize_uri(uri: SplitResult) -> SplitResult:
    """
    Return ``salesforce://<org>/<sObject>`` in the one way in which it is written; Airflow calls this.

    :param uri: What somebody wrote.
    :raises ValueError: It has no org, or not one sObject.
    """
    if not uri.netloc or not _SOBJECT_PATH.fullmatch(uri.path) or uri.query:
        raise ValueError(f"{uri.geturl()} is not salesforce://<org>/<sObject>, such as salesforce://acme/Contact.")
    return uri


def event_extra(manifest: Manifest, manifest_url: str) -> dict[str, Any]:
    """
    Return what an event tells of an export.

    :param manifest: The manifest.
    :param manifest_url: Where it stands; Airflow's ObjectStoragePath opens it.
    """
    window = manifest["window"]
    return {
        "rows": manifest["rows"],
        "pages": len(manifest["pages"]),
        "bytes": manifest["bytes"],
        "manifest": manifest_url,
        "window": window and f"{window['start']}/{window['end']}",  # an interval as ISO 8601 writes it
    }
