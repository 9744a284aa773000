"""What all commands share: how they end, and where their connections are."""

from __future__ import annotations

import functools
import os
import re
import sys
from argparse import Namespace
from collections.abc import Callable

from airflow.utils.cli import suppress_logs_and_warning

from airflow_provider_salesforce_export.environment import connection_setting
from airflow_provider_salesforce_export.exceptions import ConfigurationError, SalesforceExportError
from airflow_provider_salesforce_export.hooks.connection import DEFAULT_CONN_ID
from airflow_provider_salesforce_export.hooks.salesforce_export import SalesforceExportHook

Command = Callable[[Namespace], None]

_PREFIX = "AIRFLOW_CONN_"
_OURS = re.compile(r'\s*(salesforce[-_]export://|\{.*"conn_type"\s*:\s*"salesforce_export")', re.DOTALL)


def command(function: Command) -> Command:
    """
    Make a command of a function: an error ends it with its message on stderr, and exit status 1.

    :param function: What it does.
    """
    quiet = suppress_logs_and_warning(function)

    @functools.wraps(function)
    def run(args: Namespace) -> None:
        # As Airflow's own commands do: without it, a connection in Airflow's database is not found.
        os.environ["_AIRFLOW_PROCESS_CONTEXT"] = "server"
        try:
            quiet(args)
        except SalesforceExportError as error:
            sys.exit(str(error))
        except KeyboardInterrupt:
            sys.exit("Stopped.")

    return run


def hook_of(args: Namespace) -> SalesforceExportHook:
    """
    Return a hook for the connection of ``--conn-id``.

    :param args: What was typed.
    """
    return SalesforceExportHook(args.conn_id or DEFAULT_CONN_ID)


def conn_ids_of(args: Namespace) -> list[str]:
    """
    Return the connection of ``--conn-id``, else all that can be listed.

    :param args: What was typed.
    :raises ConfigurationError: Airflow's database cannot be read, or there is no connection.
    """
    if args.conn_id:
        return [args.conn_id]
    found = sorted({*_in_database(), *_in_environment()})
    if not found:
        raise ConfigurationError(
            "Airflow's database and environment have no connection of type salesforce_export. One in a secrets backend "
            "cannot be listed: name it with --conn-id."
        )
    return found


def _in_database() -> list[str]:
    from airflow.models import Connection
    from airflow.utils.session import create_session
    from sqlalchemy import select
    from sqlalchemy.exc import DBAPIError

    ours = select(Connection.conn_id).where(Connection.conn_type == SalesforceExportHook.conn_type)
    try:
        with create_session() as session:
            return list(session.scalars(ours))
    except DBAPIError as error:
        raise ConfigurationError(
            f"Airflow's database cannot be read: {error.orig}. Name a connection with --conn-id, or run "
            "'airflow db migrate' where there is no database yet."
        ) from None


def _in_environment() -> list[str]:
    found = [name for name, value in os.environ.items() if name.startswith(_PREFIX) and _OURS.match(value)]
    of_the_replaced_service = [DEFAULT_CONN_ID] if connection_setting("client_id") else []
    return [name.removeprefix(_PREFIX).lower() for name in found] + of_the_replaced_service
