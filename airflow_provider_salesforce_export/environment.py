"""
The environment settings of the service that this package replaces.

They stand below the Airflow connection and below what a DAG says, and keep their old names and spellings. See
``docs/environment.md`` for what each becomes. A setting is read only where it is needed, so that a wrong one that
nobody uses harms nobody.
"""

from __future__ import annotations

import logging
import os
import re
from typing import NamedTuple
from urllib.parse import parse_qs, urlsplit

from airflow_provider_salesforce_export.exceptions import ConfigurationError
from airflow_provider_salesforce_export.salesforce.domains import login_url

log = logging.getLogger(__name__)

_VARIABLES = {
    "client_id": "SALESFORCE_CLIENT_ID",
    "client_secret": "SALESFORCE_SECRET_ID",
    "scopes": "SALESFORCE_AUTH_SCOPES",
    "grant_type": "SALESFORCE_GRANT_TYPE",
    "redirect_uri": "SALESFORCE_REDIRECT_URL",
}
_LOGIN_VARIABLES = {
    "host": ("SALESFORCE_TOKEN_URL", "SALESFORCE_AUTH_URL"),
    "authorize_host": ("SALESFORCE_AUTH_URL", "SALESFORCE_TOKEN_URL"),
}
_OAUTH_PATHS = ("/services/oauth2/token", "/services/oauth2/authorize")

_ENDPOINTS = {
    "contacts": "SALESFORCE_CONTACT_ENDPOINT",
    "deals": "SALESFORCE_DEALS_ENDPOINT",
    "notes": "SALESFORCE_NOTES_ENDPOINT",
}
_COUNT_ENDPOINT = "SALESFORCE_COUNT_ENDPOINT"
_ENDPOINT_EXAMPLE = "https://acme.my.salesforce.com/services/data/v62.0/query/?q=SELECT+Id,Name+FROM+Contact"

_QUERY_PATH = re.compile(r"/services/data/v(?P<version>\d+\.\d)/query/?")
_DATA_PATH = re.compile(r"/services/data/v(?P<version>\d+\.\d)(/.*)?")
_PAGING = re.compile(
    r"\s+(?=ORDER\s+BY\b|LIMIT\b|OFFSET\b)"
    r"(ORDER\s+BY\s+[\w.,\s]+?)?\s*(LIMIT(\s+\d+)?)?\s*(OFFSET(\s+\d+)?)?\s*;?\s*\Z",
    re.IGNORECASE,
)


class Setting(NamedTuple):
    """
    A setting of the environment.

    :param variable: The name of the environment variable.
    :param value: What it says.
    """

    variable: str
    value: str


def connection_setting(field: str) -> Setting | None:
    """
    Return what the environment says in place of a field of the connection, or None.

    :param field: A field, such as ``client_id`` or ``host``; ``authorize_host`` is the host of the login page.
    :raises ConfigurationError: The setting is not of its form; the message names it.
    """
    if field == "api_version":
        return _api_version()
    if field in _LOGIN_VARIABLES:
        return _login_host(_LOGIN_VARIABLES[field])
    return _setting(_VARIABLES[field]) if field in _VARIABLES else None


def object_query(name: str) -> Setting | None:
    """
    Return the query that the environment says for an object type of the catalogue, without its paging, or None.

    :param name: ``contacts``, ``deals`` or ``notes``.
    :raises ConfigurationError: The setting is not the URL of a query; the message names it.
    """
    endpoint = _setting(_ENDPOINTS[name]) if name in _ENDPOINTS else None
    if endpoint is None:
        return None
    _version_of(endpoint)
    url = re.sub(r"[\r\n\t]", " ", endpoint.value)  # urlsplit drops them, which would join words
    soql = parse_qs(urlsplit(url).query).get("q", [""])[-1].strip()
    if not soql:
        raise _not_an_endpoint(endpoint.variable)
    paging = _PAGING.search(soql)  # which knows no quotes: text in them cannot be at the end
    if paging:
        log.debug("%s: %r is left out, as the export cuts its own pages.", endpoint.variable, paging[0].strip())
        soql = soql[: paging.start()]
    return Setting(endpoint.variable, soql)


def _setting(variable: str) -> Setting | None:
    value = os.environ.get(variable, "").strip()
    return Setting(variable, value) if value else None


def _login_host(variables: tuple[str, ...]) -> Setting | None:
    setting = next(filter(None, map(_setting, variables)), None)
    if setting is None:
        return None
    host = setting.value.rstrip("/")
    for path in _OAUTH_PATHS:
        host = host.removesuffix(path)
    try:
        return Setting(setting.variable, login_url(host))
    except ConfigurationError:
        raise ConfigurationError(
            f"The environment variable {setting.variable} is not an address such as "
            "'https://login.salesforce.com/services/oauth2/token': https, a login host, and no other path."
        ) from None


def _api_version() -> Setting | None:
    """Return the newest version of the objects' endpoints; that of the count's where there are none."""
    endpoints = [endpoint for endpoint in map(_setting, _ENDPOINTS.values()) if endpoint]
    versions = [Setting(endpoint.variable, _version_of(endpoint)) for endpoint in endpoints]
    if not versions and (count := _setting(_COUNT_ENDPOINT)):
        versions = [Setting(count.variable, _version_of(count, _DATA_PATH))]
    return max(versions, key=lambda version: float(version.value), default=None)


def _version_of(endpoint: Setting, path: re.Pattern[str] = _QUERY_PATH) -> str:
    try:
        match = path.fullmatch(urlsplit(endpoint.value).path)
    except ValueError:
        match = None
    if match is None:
        raise _not_an_endpoint(endpoint.variable)
    return match["version"]


def _not_an_endpoint(variable: str) -> ConfigurationError:
    return ConfigurationError(
        f"The environment variable {variable} is not the URL of a query, such as {_ENDPOINT_EXAMPLE!r}. Correct it or "
        "remove it where the scheduler and the workers start."
    )
