"""Run a Salesforce org on localhost: ``python -m airflow_provider_salesforce_export.sandbox``."""

from __future__ import annotations

import argparse
import json
from dataclasses import fields
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import uvicorn

from airflow_provider_salesforce_export.sandbox.org import SandboxOrg
from airflow_provider_salesforce_export.sandbox.server import config, listen, url_of
from airflow_provider_salesforce_export.sandbox.settings import SandboxSettings

if TYPE_CHECKING:
    import socket
    from collections.abc import Sequence

DEFAULT_PORT = 8085


def main(arguments: Sequence[str] | None = None) -> int:
    """
    Run the org until it is interrupted, and return the exit status.

    :param arguments: The command line; by default the process's own.
    """
    settings = read_arguments(arguments)
    listener = _listen_somewhere(settings)
    org = SandboxOrg(settings)
    org.url = url_of(listener)
    print(greeting(org), flush=True)
    try:
        uvicorn.Server(config(org, "info")).run([listener])
    except KeyboardInterrupt:
        print("Stopped.")
    finally:
        org.close()
    return 0


def read_arguments(arguments: Sequence[str] | None = None) -> SandboxSettings:
    """
    Read the command line.

    :param arguments: The command line; by default the process's own.
    """
    defaults = SandboxSettings()
    parser = argparse.ArgumentParser(
        prog="python -m airflow_provider_salesforce_export.sandbox",
        description="A Salesforce org on localhost, with generated data.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    for name, about in (("contacts", "contacts"), ("deals", "opportunities"), ("notes", "notes")):
        parser.add_argument(f"--{name}", type=int, default=getattr(defaults, name), help=f"number of {about}")
    parser.add_argument("--seed", type=int, default=defaults.seed, help="the same seed gives the same data")
    parser.add_argument("--now", type=datetime.fromisoformat, help="the org's clock at its start, ISO 8601")
    parser.add_argument("--host", default=defaults.host, help="address to listen on")
    parser.add_argument("--port", type=int, default=DEFAULT_PORT, help="port; another one if it is taken")
    parser.add_argument("--latency", type=float, default=defaults.latency, help="seconds added to every data call")
    parser.add_argument("--token-lifetime", type=float, help="seconds that an access token lives; for ever if not set")
    parser.add_argument("--rotate-refresh-tokens", action="store_true", help="a new refresh token at every refresh")
    parser.add_argument("--api-quota", type=int, default=defaults.api_quota, help="data calls in a day")
    parser.add_argument("--batch-size", type=int, default=defaults.batch_size, help="most records in one reply")
    parser.add_argument("--bulk-seconds", type=float, default=defaults.bulk_seconds, help="that a Bulk query job takes")
    parser.add_argument("--bulk-chunk-size", type=int, default=defaults.bulk_chunk_size, help="records in one result")
    parser.add_argument("--hidden-fields", nargs="*", default=[], metavar="Object.Field", help="fields to hide")
    for name in ("client_id", "client_secret", "username", "password", "security_token"):
        parser.add_argument(f"--{name.replace('_', '-')}", default=getattr(defaults, name), help="made up")
    parser.add_argument("--jwt-public-key", type=Path, metavar="FILE", help="PEM file of the key for JWT assertions")
    parser.add_argument("--redirect-uris", nargs="*", default=[], metavar="URI", help="any loopback one if not set")
    given = vars(parser.parse_args(arguments))
    given["hidden_fields"] = tuple(given["hidden_fields"])
    given["redirect_uris"] = tuple(given["redirect_uris"])
    if given["jwt_public_key"] is not None:
        given["jwt_public_key"] = given["jwt_public_key"].read_text()
    names = {field.name for field in fields(SandboxSettings)}
    return SandboxSettings(**{name: value for name, value in given.items() if name in names})


def greeting(org: SandboxOrg) -> str:
    """
    Return what to know about a running org.

    :param org: The org.
    """
    settings = org.settings
    return "\n".join(
        (
            f"Salesforce sandbox org at {org.url}",
            f"  {settings.contacts:,} contacts, {settings.deals:,} deals, {settings.notes:,} notes",
            f"  consumer key     {settings.client_id}",
            f"  consumer secret  {settings.client_secret}",
            f"  username         {settings.username}",
            f"  password         {settings.password} (security token {settings.security_token})",
            "An Airflow connection to it, and its page:",
            f"  export AIRFLOW_CONN_SALESFORCE_EXPORT_DEFAULT='{_connection(org)}'",
            f"  {org.url}/ - stop with Ctrl-C",
        )
    )


def _connection(org: SandboxOrg) -> str:
    settings = org.settings
    return json.dumps(
        {
            "conn_type": "salesforce_export",
            "host": org.url,
            "login": settings.client_id,
            "password": settings.client_secret,
            "extra": {
                "grant_type": "password",
                "username": settings.username,
                "user_password": settings.password,
                "security_token": settings.security_token,
            },
        }
    )


def _listen_somewhere(settings: SandboxSettings) -> socket.socket:
    try:
        return listen(settings.host, settings.port)
    except OSError:
        return listen(settings.host, 0)


if __name__ == "__main__":
    raise SystemExit(main())
