"""What all commands share: how they end, and where their connections are."""

from __future__ import annotations

import functools
import os
import sys
from argparse import Namespace
from collections.abc import Callable

from airflow.utils.cli import suppress_logs_and_warning

from airflow_provider_salesforce_export.exceptions import ConfigurationError, SalesforceExportError
from airflow_provider_salesforce_export.hooks.connection import DEFAULT_CONN_ID
from airflow_provider_salesforce_export.hooks.connection_list import list_conn_ids
from airflow_provider_salesforce_export.hooks.salesforce_export import SalesforceExportHook

Command = Callable[[Namespace], None]


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
    try:
        found = list_conn_ids()
    except ConfigurationError as error:
        raise ConfigurationError(f"{error} Or name a connection with --conn-id. {error.__cause__}") from None
    if not found:
        raise ConfigurationError(
            "Airflow's database and environment have no connection of type salesforce_export. One in a secrets backend "
            "cannot be listed: name it with --conn-id."
        )
    return found
