"""
### Keep the Salesforce logins alive, every week

Salesforce ends a login whose refresh token is not used for a while (30 days, or what the app's policy says). Each week
this renews the token of each connection in *conn_ids*. A task that fails names the login that has ended: somebody must
log in again. The others go on.
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from airflow.sdk import DAG, Param, get_current_context, task
from airflow.sdk.exceptions import AirflowFailException

from airflow_provider_salesforce_export import SalesforceExportHook
from airflow_provider_salesforce_export.exceptions import AuthenticationError


@task
def connections() -> list[str]:
    """Return the connections whose logins are to be kept."""
    conn_ids: list[str] = get_current_context()["params"]["conn_ids"]
    return conn_ids


@task(map_index_template="{{ task.op_kwargs['conn_id'] }}")
def renew(conn_id: str) -> None:
    """Renew the token of a connection."""
    with SalesforceExportHook(conn_id) as hook:
        try:
            hook.renew()
        except AuthenticationError as error:  # which no other try can mend
            raise AirflowFailException(f"{conn_id}: {error}") from None


with DAG(
    "salesforce_keep_logins",
    schedule="@weekly",
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
    catchup=False,
    max_active_runs=1,
    default_args={"retries": 3, "retry_delay": timedelta(minutes=10)},
    params={
        "conn_ids": Param(
            ["salesforce_export_default"],
            type="array",
            items={"type": "string"},
            minItems=1,
            title="Connections",
            description="The Airflow connections to Salesforce, one a line.",
        ),
    },
    doc_md=__doc__,
    tags=["salesforce"],
):
    renew.expand(conn_id=connections())
