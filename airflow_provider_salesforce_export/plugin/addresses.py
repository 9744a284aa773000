"""The addresses of the plugin. They come from configuration: a Host header is what the caller says."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlencode, urlsplit

from airflow.providers.common.compat.sdk import conf

from airflow_provider_salesforce_export.exceptions import ConfigurationError

if TYPE_CHECKING:
    from airflow_provider_salesforce_export.hooks.connection import ConnectionSettings

PREFIX = "/v1/integrations/salesforce"

PAGE = "/plugin/salesforce"
"""The page, where Airflow shows it."""


def base_url() -> str:
    """Return the address of the API server, without a slash at its end; empty where it is not configured."""
    return str(conf.get("api", "base_url", fallback="") or "").rstrip("/")


def root_path() -> str:
    """Return the path of the API server, without a slash at its end."""
    return urlsplit(base_url()).path


def callback_url(settings: ConnectionSettings | None = None) -> str | None:
    """
    Return where a login comes back to: what is to be registered in Salesforce.

    :param settings: The connection, whose ``redirect_uri`` goes before; None for what counts by default.
    :returns: None where neither is configured.
    """
    if settings and settings.redirect_uri:
        return settings.redirect_uri
    return f"{base_url()}{PREFIX}/auth/callback" if base_url() else None


def required_callback_url(settings: ConnectionSettings) -> str:
    """
    Return where a login comes back to.

    :param settings: The connection.
    :raises ConfigurationError: It is not configured.
    """
    url = callback_url(settings)
    if url is None:
        raise ConfigurationError(
            "Where a login comes back to is not configured. An Airflow admin sets [api] base_url to the address of "
            "Airflow that users see, or redirect_uri in the Airflow connection."
        )
    return url


def login_address(conn_id: str) -> str:
    """
    Return where somebody logs in to Salesforce.

    :param conn_id: The Airflow connection.
    """
    return f"{base_url()}{PREFIX}/auth/login?{urlencode({'conn_id': conn_id})}"
