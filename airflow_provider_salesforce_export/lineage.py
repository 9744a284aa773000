"""What OpenLineage is told of an export; loaded only where Airflow's OpenLineage provider asks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from airflow.providers.openlineage.extractors import OperatorLineage

    from airflow_provider_salesforce_export.export.commit import Manifest


def export_lineage(manifest: Manifest, *, instance_url: str, export_uri: str) -> OperatorLineage[Any, Any]:
    """
    Return that records of an sObject have become files in a folder: which columns, how many rows, by which query.

    :param manifest: The manifest of the export.
    :param instance_url: The address of the org.
    :param export_uri: The folder that all runs of the export share.
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
        fields=[SchemaDatasetFacetFields(name=column["path"], type=column["type"]) for column in manifest["columns"]]
    )
    statistics = OutputStatisticsOutputDatasetFacet(rowCount=manifest["rows"], size=manifest["bytes"])
    namespace, name = _folder(export_uri)
    return OperatorLineage(
        inputs=[
            InputDataset(
                namespace=f"salesforce://{urlsplit(instance_url).netloc}",
                name=manifest["sobject"],
                facets={"schema": schema},
            )
        ],
        outputs=[
            OutputDataset(
                namespace=namespace,
                name=name,
                facets={"schema": schema},
                outputFacets={"outputStatistics": statistics},
            )
        ],
        job_facets={"sql": SQLJobFacet(query=manifest["soql"])},
    )


def _folder(uri: str) -> tuple[str, str]:
    """Return namespace and name of a folder, as OpenLineage's "Dataset naming" has them."""
    parts = urlsplit(uri)
    if parts.scheme == "file":
        return "file", parts.path
    return f"{parts.scheme}://{parts.netloc}", parts.path.lstrip("/")
