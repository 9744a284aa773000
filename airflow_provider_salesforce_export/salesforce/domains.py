"""
Login hosts.

Rules from Salesforce Help: "My Domain URL Formats".
"""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import urlsplit

from airflow_provider_salesforce_export.exceptions import ConfigurationError


def login_url(domain: str | None) -> str:
    """
    Return the address of the login host.

    :param domain: ``login`` (the default), ``test``, a My Domain name such as ``acme`` or ``acme--uat.sandbox``, a
        host name, or an https address. An http address is accepted for this machine alone.
    :raises ConfigurationError: Not such a domain.
    """
    domain = (domain or "login").strip()
    if "://" in domain:
        return _checked(domain.rstrip("/"))
    if domain in ("login", "test"):
        return f"https://{domain}.salesforce.com"
    is_host = domain.endswith(".com") or ":" in domain
    return _checked(f"https://{domain}" if is_host else f"https://{domain}.my.salesforce.com")


def _checked(url: str) -> str:
    parts = urlsplit(url)
    if not parts.hostname or parts.path or parts.query or parts.username:
        raise ConfigurationError(
            f"The host of the Salesforce connection is not a login domain: {url!r}. Expected 'login', 'test', a My "
            "Domain name such as 'acme', or an address such as 'https://acme.my.salesforce.com'."
        )
    if parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(parts.hostname)):
        return url
    raise ConfigurationError(f"The login domain {url!r} must be https: a token would travel in the clear.")


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
