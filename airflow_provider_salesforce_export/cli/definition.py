"""
What Airflow's command line shows of this package; the commands themselves are loaded when they are called.

Every ``airflow`` command imports this module: it must stay light.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.cli.cli_config import ARG_OUTPUT, ARG_VERBOSE, ActionCommand, Arg, GroupCommand, lazy_load_command

from airflow_provider_salesforce_export.hooks.connection import DEFAULT_CONN_ID

if TYPE_CHECKING:
    from collections.abc import Iterable

_CONN_ID = Arg(("--conn-id",), help=f"The Airflow connection to the org (default: {DEFAULT_CONN_ID})")
_CONN_ID_OR_ALL = Arg(
    ("--conn-id",),
    help="One Airflow connection (default: all of the type salesforce_export that Airflow's database and environment "
    "hold; those in a secrets backend, but the default one, cannot be listed)",
)


def _command(name: str, function: str, summary: str, *args: Arg) -> ActionCommand:
    return ActionCommand(
        name=name,
        help=summary,
        func=lazy_load_command(f"airflow_provider_salesforce_export.cli.{function}"),
        args=(*args, ARG_VERBOSE),
    )


def get_cli_commands() -> Iterable[GroupCommand]:
    """Return the commands of this package, as Airflow's provider info names this function."""
    return [
        GroupCommand(
            name="salesforce-export",
            help="Salesforce logins, discovery and exports",
            subcommands=(
                _command("keys", "keys.show_keys", "Show the keys, without secrets", _CONN_ID_OR_ALL, ARG_OUTPUT),
                _command(
                    "login",
                    "login.log_in",
                    "Log in to Salesforce, and store the key",
                    _CONN_ID,
                    Arg(
                        ("--port",),
                        type=int,
                        help="Wait on this port for the browser, which runs on this machine: the app must have the "
                        "callback URL http://localhost:PORT/callback. Without it, paste the address at which the "
                        "browser ends up.",
                    ),
                ),
                _command("logout", "keys.log_out", "Revoke the token at Salesforce, and delete the key", _CONN_ID),
                _command("test", "keys.test", "Try a connection", _CONN_ID),
                _command("sobjects", "discovery.show_sobjects", "List the org's objects", _CONN_ID, ARG_OUTPUT),
                _command(
                    "fields",
                    "discovery.show_fields",
                    "List the fields of an object",
                    Arg(("sobject",), help="The API name of the object, such as Account"),
                    _CONN_ID,
                    ARG_OUTPUT,
                ),
                _command(
                    "export",
                    "export.export",
                    "Export all records of one object, without a DAG",
                    Arg(("object_type",), metavar="TYPE", help="contacts, deals or notes; with --soql a name of yours"),
                    Arg(("--destination",), required=True, help="A folder as a URL: file:///..., s3://..."),
                    Arg(("--destination-conn-id",), help="The Airflow connection of the object store"),
                    Arg(("--soql",), help="What to export, for other objects: SELECT ... FROM ... [WHERE ...]"),
                    Arg(("--page-size",), help="Rows per page, 1 to 2000 (default: 2000)"),
                    Arg(("--api",), help="auto, rest or bulk (default: auto, by how many records there are)"),
                    Arg(("--include-deleted",), action="store_true", help="Export the recycle bin too"),
                    Arg(("--format",), dest="output_format", help="json (default), jsonl, csv or parquet"),
                    Arg(("--compression",), help="gzip or zstd (default: none; snappy inside parquet)"),
                    Arg(("--flatten",), action="store_true", help="Account.Name beside the other fields, not nested"),
                    Arg(("--partition-style",), help="How the folder is named: plain (default) or hive"),
                    Arg(("--on-schema-change",), help="Where the fields have changed since: warn (default) or fail"),
                    Arg(("--concurrency",), help="Pages that are read at once (default: 4)"),
                    _CONN_ID,
                    ARG_OUTPUT,
                ),
                _command(
                    "rotate-keys",
                    "keys.rotate_keys",
                    "Encrypt the stored tokens anew, under the newest of key_encryption_keys",
                    _CONN_ID_OR_ALL,
                ),
            ),
        )
    ]
