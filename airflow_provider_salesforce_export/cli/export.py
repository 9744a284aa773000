"""The command that exports one object without a DAG."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from datetime import datetime, timezone
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

from airflow.cli.simple_table import AirflowConsole
from airflow.providers.common.compat.sdk import TaskDeferred
from airflow.sdk.execution_time.context import OutletEventAccessors

from airflow_provider_salesforce_export.cli.command import command
from airflow_provider_salesforce_export.hooks.connection import DEFAULT_CONN_ID
from airflow_provider_salesforce_export.object_types import ObjectType
from airflow_provider_salesforce_export.operators.export import SalesforceExportOperator

if TYPE_CHECKING:
    from argparse import Namespace


@command
def export(args: Namespace) -> None:
    """
    Export an object as SalesforceExportOperator does, and print the sums of its manifest.

    :param args: What was typed.
    """
    optional = ["page_size", "api", "concurrency"]
    optional += ["output_format", "compression", "partition_style", "on_schema_change"]
    typed = {name: getattr(args, name) for name in optional}
    operator = SalesforceExportOperator(
        task_id="export",
        object_type=ObjectType.from_soql(args.object_type, args.soql) if args.soql else args.object_type,
        destination=args.destination,
        destination_conn_id=args.destination_conn_id,
        include_deleted=args.include_deleted,
        flatten=args.flatten,
        salesforce_conn_id=args.conn_id or DEFAULT_CONN_ID,
        deferrable=False,
        **{name: value for name, value in typed.items() if value is not None},
    )
    with ExitStack() as on_failure:
        on_failure.callback(operator.on_kill)
        try:
            summary = operator.resume(cast("Any", _context()), {"window": None})
        except TaskDeferred as deferred:
            # A task would wait here for API calls to become free; people would rather have their terminal back.
            sys.exit(str(deferred.__context__))
        on_failure.pop_all()
    AirflowConsole().print_as(data=[summary], output=args.output)


def _context() -> dict[str, Any]:
    """Return what the operator wants to know of a run: when it began, and what tells it from all others."""
    now = datetime.now(timezone.utc)
    run_id = f"cli__{now.isoformat()}"
    run = SimpleNamespace(dag_id="salesforce-export", run_id=run_id, logical_date=None, run_after=now)
    task = SimpleNamespace(try_number=1, xcom_push=lambda key, value: None)  # there is no page of Airflow to show links
    return {"dag_run": run, "ti": task, "outlet_events": OutletEventAccessors()}
