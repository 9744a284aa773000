"""What OpenLineage is told of an export. Names of datasets are those of its specification, "Naming"."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypedDict
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from airflow.providers.openlineage.extractors import OperatorLineage

    from airflow_provider_salesforce_export.export.destination import Folder
    from airflow_provider_salesforce_export.export.manifest import Manifest
    from airflow_provider_salesforce_export.export.plan import Plan

_SCHEMES = {"s3a": "s3", "s3n": "s3", "gcs": "gs", "abfs": "abfss", "adl": "abfss"}
"""How a store is spelled there, whatever a URL says."""


class Datasets(TypedDict):
    """Namespace and name of what an export reads, and of what it fills; plain data, for an XCom."""

    input: list[str]
    output: list[str]


def datasets(sobject: str, *, instance_url: str, export_uri: str, folder: Folder) -> Datasets:
    """
    Return what OpenLineage calls an sObject and the folder that it is exported to.

    :param sobject: Its API name.
    :param instance_url: The address of the org.
    :param export_uri: The folder that all runs of the export share.
    :param folder: That folder, or one in it: it knows the storage account of an Azure container.
    """
    return {
        "input": [f"salesforce://{urlsplit(instance_url).netloc}", sobject],
        "output": [*_output(export_uri, folder)],
    }


def export_lineage(plan: Plan, between: Datasets, manifest: Manifest | None) -> OperatorLineage[Any, Any]:
    """
    Return that records of an sObject become files in a folder: which columns, by which query, how many rows.

    Loaded only where Airflow's OpenLineage provider asks.

    :param plan: The plan of the export.
    :param between: What :func:`datasets` returned.
    :param manifest: Its manifest, once it is published.
    """
    from airflow.providers.common.compat.openlineage.facet import (
        InputDataset,
        OutputDataset,
        OutputStatisticsOutputDatasetFacet,
        SchemaDatasetFacet,
        SchemaDatasetFacetFields,
        SQLJobFacet,
    )
    from airflow.providers.openlineage.extractors import OperatorLineage

    schema = SchemaDatasetFacet(
        fields=[SchemaDatasetFacetFields(name=column.path, type=column.type) for column in plan.schema.columns]
    )
    statistics: dict[str, Any] = {}
    if manifest:
        facet = OutputStatisticsOutputDatasetFacet(rowCount=manifest["rows"], size=manifest["bytes"])
        statistics = {"outputStatistics": facet}
    (source, sobject), (store, path) = between["input"], between["output"]
    return OperatorLineage(
        inputs=[InputDataset(namespace=source, name=sobject, facets={"schema": schema})],
        outputs=[OutputDataset(namespace=store, name=path, facets={"schema": schema}, outputFacets=statistics)],
        job_facets={"sql": SQLJobFacet(query=plan.soql)},
    )


def _output(export_uri: str, folder: Folder) -> tuple[str, str]:
    uri = urlsplit(export_uri)
    scheme, store = _SCHEMES.get(uri.scheme, uri.scheme), uri.netloc
    if scheme == "file":
        return "file", uri.path
    if scheme == "abfss" and (account := folder.fs.service_client.account_name):  # none behind a domain of its own
        store += f"@{account}.dfs.core.windows.net"
    return f"{scheme}://{store}", uri.path.lstrip("/")
