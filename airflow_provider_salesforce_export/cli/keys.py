"""The commands that look after keys: keys, logout, test, rotate-keys."""

from __future__ import annotations

import sys
from collections import Counter
from datetime import datetime
from typing import TYPE_CHECKING, Any

from airflow.cli.simple_table import AirflowConsole

from airflow_provider_salesforce_export.cli.command import command, conn_ids_of, hook_of
from airflow_provider_salesforce_export.exceptions import SalesforceExportError
from airflow_provider_salesforce_export.hooks import login
from airflow_provider_salesforce_export.hooks.salesforce_export import SalesforceExportHook

if TYPE_CHECKING:
    from argparse import Namespace

    from airflow_provider_salesforce_export.key_collection.key import Account

_NOT_ROTATED = {
    "busy": "is being renewed: run this command again.",
    "unreadable": "is encrypted under a key that is not set here: put that key behind the new one.",
}


@command
def show_keys(args: Namespace) -> None:
    """
    Print the state of keys.

    :param args: What was typed.
    """
    AirflowConsole().print_as(data=[_key(conn_id) for conn_id in conn_ids_of(args)], output=args.output)


@command
def log_out(args: Namespace) -> None:
    """
    Revoke a token at Salesforce, and delete its key.

    :param args: What was typed.
    """
    with hook_of(args) as hook:
        ended = login.log_out(hook)
    if ended is None:
        print("There was no key.")
    elif ended.outcome == "good":
        sys.exit(f"The key is deleted. {ended.remark}")
    else:
        print(f"Logged out. {ended.remark}".rstrip())


@command
def test(args: Namespace) -> None:
    """
    Try a connection, as Airflow's Test button does.

    :param args: What was typed.
    """
    works, said = hook_of(args).test_connection()
    if not works:
        sys.exit(said)
    print(said)


@command
def rotate_keys(args: Namespace) -> None:
    """
    Encrypt tokens anew, and print how many.

    :param args: What was typed.
    """
    counts: Counter[str] = Counter()
    found: set[tuple[str, str, Account]] = set()
    used: set[tuple[str, str, Account]] = set()
    for conn_id in conn_ids_of(args):
        try:
            with SalesforceExportHook(conn_id) as hook:
                place = (hook.settings.mongo_conn_id, hook.keys.name)
                found |= {(*place, account) for account in hook.keys.accounts()}
                if (*place, hook.account) in used:
                    continue
                used.add((*place, hook.account))
                result = hook.keys.rotate(hook.account)
        except SalesforceExportError as error:
            result, why = "unreadable", str(error)
        else:
            why = f"The token {_NOT_ROTATED[result]}" if result in _NOT_ROTATED else ""
        counts[result] += 1
        if why:
            print(f"{conn_id}: {why}", file=sys.stderr)
    if not args.conn_id:
        for _, name, account in sorted(found - used, key=str):
            print(
                f"Account {account.account_id} (owner {account.owner}) in {name} belongs to no connection that is "
                "listed here, and was left as it is: name its connection with --conn-id.",
                file=sys.stderr,
            )
    print(", ".join(f"{result}: {counts[result]}" for result in ("rotated", "missing", *_NOT_ROTATED)))
    if counts["busy"] or counts["unreadable"]:
        sys.exit(1)


def _key(conn_id: str) -> dict[str, Any]:
    """Return what may be shown of the key of a connection; where the connection is wrong, what is wrong."""
    row = dict.fromkeys(("connection", "state", "account", "owner", "instance", "issued", "renewed", "last_error"), "")
    row["connection"] = conn_id
    try:
        with SalesforceExportHook(conn_id) as hook:
            row |= {"account": hook.account.account_id, "owner": hook.account.owner}
            status = hook.keys.status(hook.account)
    except SalesforceExportError as error:
        return row | {"state": "unknown", "last_error": str(error)}
    return row | {
        "state": status.state,
        "instance": status.instance_url or "",
        "issued": _text(status.issued_at),
        "renewed": _text(status.updated_at),
        "last_error": status.last_error,
    }


def _text(moment: datetime | None) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ") if moment else ""
