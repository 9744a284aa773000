"""
Login hosts.

Rules from Salesforce Help: "My Domain URL Formats".
"""

from __future__ import annotations

import re
from ipaddress import ip_address
from urllib.parse import urlsplit

from airflow_provider_salesforce_export.exceptions import ConfigurationError

_HOST = re.compile(r"[A-Za-z0-9.-]+(:\d+)?|\[[0-9a-fA-F:]+\](:\d+)?")
_MY_DOMAIN = re.compile(r"[A-Za-z0-9-]+(\.(sandbox|scratch|develop|trailblaze|patch|demo|free|stage))?", re.IGNORECASE)


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
    is_my_domain = _MY_DOMAIN.fullmatch(domain)
    return _checked(f"https://{domain}.my.salesforce.com" if is_my_domain else f"https://{domain}")


def _checked(url: str) -> str:
    parts = urlsplit(url)
    if not _HOST.fullmatch(parts.netloc) or parts.path or parts.query:
        shown = parts.netloc.rpartition("@")[2]  # before an @ there may be a password
        raise ConfigurationError(
            f"The host of the Salesforce connection is not a login domain: {shown!r}. Expected 'login', 'test', a My "
            "Domain name such as 'acme', or an address such as 'https://acme.my.salesforce.com'."
        )
    if parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(str(parts.hostname))):
        return url
    raise ConfigurationError(f"The login domain {url!r} must be https: a token would travel in the clear.")


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
