"""The parameters of a DAG that exports: the fields of Airflow's trigger form, and the arguments that they become."""

from __future__ import annotations

from typing import TypedDict

from airflow.sdk import Param

from airflow_provider_salesforce_export.export.formats.choices import COMPRESSIONS, FORMATS
from airflow_provider_salesforce_export.operators.choices import MAX_PAGE_SIZE, MODES

# Airflow's backfill form hands no parameters on by itself, and all records once for each day is seldom what is meant.
_MODE = """{{
    params.mode if params.mode != "auto" else "incremental" if dag_run.run_type == "backfill" else "full"
}}"""


class ArgumentsFromParams(TypedDict):
    """Templates, by the names of the arguments of a task group or operator."""

    destination: str
    page_size: str
    mode: str
    output_format: str
    compression: str
    include_deleted: str


def export_params(destination: str) -> dict[str, Param]:
    """
    Return the ``params`` of a DAG that exports: the fields of its trigger form, with what a scheduled run takes.

    They are ``destination``, ``page_size``, ``mode``, ``output_format``, ``compression`` and ``include_deleted``; add
    your own with ``|``. With mode ``auto``, a backfill reads what changed in each of its intervals, other runs all
    records. :func:`arguments_from_params` hands them to a task group.

    :param destination: The folder or bucket where no other is chosen, as a URL.
    """
    return {
        "destination": Param(
            destination,
            type="string",
            title="Destination",
            description="Folder or bucket, as a URL, such as s3://aws_default@lake/salesforce.",
        ),
        "page_size": Param(
            MAX_PAGE_SIZE,
            type="integer",
            minimum=1,
            maximum=MAX_PAGE_SIZE,
            title="Page size",
            description=f"Most rows in a page, from 1 to {MAX_PAGE_SIZE}. Smaller pages take more API calls.",
        ),
        "mode": Param(
            "auto",
            type="string",
            enum=["auto", *MODES],
            title="Mode",
            description="full: all records. incremental: what changed in the run's data interval. "
            "auto: incremental in a backfill, full in all other runs.",
        ),
        "output_format": Param(
            FORMATS[0],
            type="string",
            enum=list(FORMATS),
            title="Format",
            description="Of the files. json: the records in an envelope. jsonl: one record on each line.",
        ),
        "compression": Param(
            None,
            type=["null", "string"],
            enum=[None, *COMPRESSIONS],
            values_display={"null": "none"},
            title="Compression",
            description="Of the files: .gz or .zst is added to their names.",
        ),
        "include_deleted": Param(
            False,
            type="boolean",
            title="Include deleted",
            description="Export what is in the recycle bin too; IsDeleted tells it apart.",
        ),
    }


def arguments_from_params() -> ArgumentsFromParams:
    """
    Return the arguments of a task group or operator that takes what :func:`export_params` offers.

    ``SalesforceExportTaskGroup("contacts", **arguments_from_params())``
    """
    return {
        "destination": "{{ params.destination }}",
        "page_size": "{{ params.page_size }}",
        "mode": _MODE,
        "output_format": "{{ params.output_format }}",
        "compression": "{{ params.compression }}",
        "include_deleted": "{{ params.include_deleted }}",
    }
