"""The commands that show what there is to export: sobjects, fields."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.cli.simple_table import AirflowConsole

from airflow_provider_salesforce_export.cli.command import command, hook_of

if TYPE_CHECKING:
    from argparse import Namespace


@command
def show_sobjects(args: Namespace) -> None:
    """
    Print the objects of the org that queries can read.

    :param args: What was typed.
    """
    with hook_of(args) as hook:
        rows = [
            {"name": sobject["name"], "label": sobject["label"], "custom": sobject["custom"]}
            for sobject in hook.client.sobjects()
            if sobject["queryable"]
        ]
    AirflowConsole().print_as(data=rows, output=args.output)


@command
def show_fields(args: Namespace) -> None:
    """
    Print the fields of an object.

    :param args: What was typed.
    """
    with hook_of(args) as hook:
        rows = [
            {
                "name": field["name"],
                "type": field["type"],
                "label": field["label"],
                "relationship": field["relationshipName"] or "",
                "references": ", ".join(field["referenceTo"]),
            }
            for field in hook.describe(args.sobject)["fields"]
        ]
    AirflowConsole().print_as(data=rows, output=args.output)
