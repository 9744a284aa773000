"""
Login hosts, and the hosts that a token may be sent to.

Rules from Salesforce Help: "My Domain URL Formats", "Allow the Required Domains", "OAuth 2.0 JWT Bearer Flow for
Server-to-Server Integration" (audience).
"""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import Literal
from urllib.parse import SplitResult, urlsplit

from airflow_provider_salesforce_export.exceptions import ConfigurationError, ForeignInstanceError

SALESFORCE_DOMAINS = (
    "salesforce.com",
    "force.com",
    "cloudforce.com",
    "salesforce.mil",
    "force.mil",
    "cloudforce.mil",
    "sfcrmproducts.cn",
    "sfcrmapps.cn",
)
"""Domains of which Salesforce owns every name: the public clouds, those of the US government, that of China."""

_HOST = re.compile(r"[a-z0-9.-]+(:\d+)?|\[[0-9a-f:]+\](:\d+)?")
_MY_DOMAIN = re.compile(
    r"(?P<name>[a-z0-9-]+)(?P<partition>\.(sandbox|scratch|develop|trailblaze|patch|demo|free|stage))?(\.my)?"
)
_SANDBOX = re.compile(r"(test|cs\d+|[a-z0-9-]+(--[a-z0-9-]+.*|\.sandbox|\.scratch)\.my)\.salesforce\.com")
_LIGHTNING = ".lightning.force.com"


def login_url(domain: str | None) -> str:
    """
    Return the address of the login host.

    :param domain: ``login`` (the default), ``test``, a My Domain name such as ``acme`` or ``acme--uat.sandbox``, a
        host name, or an https address. An http address is accepted for this machine alone.
    :raises ConfigurationError: Not such a domain.
    """
    domain = (domain or "login").strip().lower().rstrip("/")
    if "://" not in domain:
        domain = f"https://{_host_of(domain)}"
    parts = _split(domain)
    if parts is None or not _is_origin(parts):
        shown = parts.netloc.rpartition("@")[2] if parts else ""  # before an @ there may be a password
        raise ConfigurationError(
            f"The host of the Salesforce connection is not a login domain: {shown!r}. Expected 'login', 'test', a My "
            "Domain name such as 'acme' or 'acme--uat.sandbox', or an address such as "
            "'https://acme.my.salesforce.com', without a path."
        )
    if is_secure(domain):
        # The host of Lightning pages, which people copy from their browser, has no token endpoint.
        return domain.replace(_LIGHTNING, ".my.salesforce.com") if domain.endswith(_LIGHTNING) else domain
    raise ConfigurationError(
        f"The login domain {domain!r} must be https, as a token would travel in the clear: write "
        f"'https://{parts.netloc}' as the host of the Airflow connection."
    )


def is_secure(url: str) -> bool:
    """Return whether an address is https, or http to this machine."""
    parts = _split(url)
    if parts is None or not parts.hostname:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(parts))


def is_my_domain(login_url: str) -> bool:
    """Return whether the login host is that of one org, not the one that all orgs share."""
    return not re.fullmatch(r"https://(login|test|welcome)\.salesforce\.(com|mil)", login_url)


def kind_of_org(login_url: str) -> Literal["production", "sandbox", "local"]:
    """
    Return what kind of org a login host is for: ``local`` is an org on this machine, to develop against.

    :param login_url: The login host.
    """
    if _is_loopback(urlsplit(login_url)):
        return "local"
    host = str(urlsplit(login_url).hostname)
    return "sandbox" if host.startswith("test.") or _SANDBOX.fullmatch(host) else "production"


def jwt_audience(login_url: str) -> str:
    """
    Return the audience of a JWT assertion: the login host that all orgs share, as Salesforce's own CLI names it too.

    :param login_url: The login host of the connection.
    """
    host = str(urlsplit(login_url).hostname)
    if not host.endswith(".salesforce.com"):
        return login_url
    return "https://test.salesforce.com" if _SANDBOX.fullmatch(host) else "https://login.salesforce.com"


def checked_instance_url(instance_url: object, login_url: str) -> str:
    """
    Return the address of the org that a token reply names, without a slash at its end.

    :param instance_url: What the reply says.
    :param login_url: The login host that answered.
    :raises ForeignInstanceError: It is not Salesforce's: the token would be sent to somebody else.
    """
    address = str(instance_url).rstrip("/")
    parts, login = _split(address), urlsplit(login_url)
    if parts and _is_origin(parts):
        is_login_host = (parts.scheme, parts.netloc) == (login.scheme, login.netloc)
        is_salesforce = parts.scheme == "https" and str(parts.hostname).endswith(
            tuple(f".{domain}" for domain in SALESFORCE_DOMAINS)
        )
        if is_login_host or is_salesforce or (_is_loopback(parts) and _is_loopback(login)):
            return address
    shown = (parts.hostname if parts else None) or "no host"
    raise ForeignInstanceError(
        f"{login_url} issued a token for an instance that is not Salesforce's ({shown[:100]!r}): the token was neither "
        "used nor stored. Expected an https address of salesforce.com, or the login host itself. An Airflow admin "
        "checks the host of the connection, and which proxy stands before it."
    )


def _host_of(name: str) -> str:
    """Return the host of a name without a scheme: a shared login host, a My Domain name, or a host already."""
    if name in ("login", "test"):
        return f"{name}.salesforce.com"
    my_domain = _MY_DOMAIN.fullmatch(name)
    if not my_domain:
        return name
    # A name of the form acme--uat is that of a sandbox.
    partition = my_domain["partition"] or (".sandbox" if "--" in my_domain["name"] else "")
    return f"{my_domain['name']}{partition}.my.salesforce.com"


def _split(address: str) -> SplitResult | None:
    try:
        parts = urlsplit(address)
        _ = parts.port  # is checked only when asked for
    except ValueError:
        return None
    return parts


def _is_origin(parts: SplitResult) -> bool:
    return bool(_HOST.fullmatch(parts.netloc.lower())) and not (parts.path or parts.query or parts.fragment)


def _is_loopback(parts: SplitResult) -> bool:
    host = parts.hostname
    if host is None or host == "localhost":
        return host is not None
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
