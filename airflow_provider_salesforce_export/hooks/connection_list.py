"""The Airflow connections to Salesforce that can be listed."""

from __future__ import annotations

import os

from airflow_provider_salesforce_export.exceptions import ConfigurationError
from airflow_provider_salesforce_export.hooks.connection import DEFAULT_CONN_ID, environment_stands_in, find_connection
from airflow_provider_salesforce_export.hooks.salesforce_export import SalesforceExportHook

_CONN_TYPE = SalesforceExportHook.conn_type
_IN_ENVIRONMENT = "AIRFLOW_CONN_"


def list_conn_ids() -> list[str]:
    """
    Return the ids of the connections of type ``salesforce_export`` in Airflow's database and environment, sorted.

    The default one counts wherever Airflow finds it. Others in a secrets backend cannot be listed.

    :raises ConfigurationError: Airflow's database cannot be read.
    """
    stored = _in_database()
    named = {name.removeprefix(_IN_ENVIRONMENT).lower() for name in os.environ if name.startswith(_IN_ENVIRONMENT)}
    others = {DEFAULT_CONN_ID, *named}.difference(stored)
    return sorted([*stored, *(conn_id for conn_id in others if conn_type_of(conn_id) == _CONN_TYPE)])


def conn_type_of(conn_id: str) -> str | None:
    """
    Return the type of a connection; None where there is none, or one of which Airflow can make no sense.

    :param conn_id: Its id.
    """
    try:
        return str(find_connection(conn_id, _CONN_TYPE).conn_type)
    except ConfigurationError:
        return _CONN_TYPE if environment_stands_in(conn_id) else None


def _in_database() -> list[str]:
    from airflow.models import Connection
    from airflow.utils.session import create_session
    from sqlalchemy import select
    from sqlalchemy.exc import DBAPIError

    of_this_type = select(Connection.conn_id).where(Connection.conn_type == _CONN_TYPE)
    try:
        with create_session() as session:
            return list(session.scalars(of_this_type))
    except DBAPIError as error:  # which may name the database's host and user
        raise ConfigurationError(
            "Airflow's database cannot be read. Where there is none yet, run 'airflow db migrate'."
        ) from error.orig
