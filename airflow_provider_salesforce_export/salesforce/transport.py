"""HTTP as both the token endpoint and the REST API need it: sessions, retries, and errors of the network."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests.utils import default_user_agent
from urllib3.exceptions import NameResolutionError
from urllib3.util import Retry

from airflow_provider_salesforce_export.exceptions import DomainNotFoundError, SalesforceUnavailableError
from airflow_provider_salesforce_export.version import __version__

PASSING_STATUSES = (420, 429, 500, 502, 503, 504)
"""Replies after which the same request may succeed a moment later."""

_MAX_RETRY_AFTER = 60  # seconds; a longer wait belongs to Airflow's retry_delay, not to a worker slot


class _Session(requests.Session):
    """Looks for proxies and certificates in the environment once for each host: requests does so for each request."""

    def __init__(self) -> None:
        super().__init__()
        self._settings: dict[tuple[Any, ...], Any] = {}

    def merge_environment_settings(self, url: Any, proxies: Any, stream: Any, verify: Any, cert: Any) -> Any:
        parts = urlsplit(url)
        key = (parts.scheme, parts.netloc, tuple(proxies.items()), stream, verify, cert)
        if key not in self._settings:
            self._settings[key] = super().merge_environment_settings(url, dict(proxies), stream, verify, cert)
        return self._settings[key]


def new_session(*, retries: int = 4, pool_size: int = 10) -> requests.Session:
    """
    Return a session that repeats passing failures of GET requests with a growing, jittered delay.

    :param retries: How often a request is repeated; 0 for never.
    :param pool_size: How many connections are kept open.
    """
    retry = Retry(
        total=retries,
        status_forcelist=PASSING_STATUSES,
        allowed_methods=("GET", "HEAD"),
        backoff_factor=0.5,
        backoff_jitter=0.5,
        retry_after_max=_MAX_RETRY_AFTER,
        raise_on_status=False,
    )
    session = _Session()
    session.headers["User-Agent"] = f"airflow-provider-salesforce-export/{__version__} {default_user_agent()}"
    session.headers["Accept-Encoding"] = "gzip, deflate"
    adapter = HTTPAdapter(max_retries=retry, pool_maxsize=pool_size)
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    return session


def unreachable(error: requests.RequestException, url: str) -> SalesforceUnavailableError:
    """
    Return what to raise when no reply came.

    :param error: What requests raised.
    :param url: The address that was asked; only its host is shown.
    """
    host = urlsplit(url).netloc
    if isinstance(error, requests.exceptions.ProxyError):
        return SalesforceUnavailableError(
            f"The proxy to {host} did not answer. Check proxies of the Airflow connection, or HTTPS_PROXY."
        )
    if _is_name_error(error):
        return DomainNotFoundError(
            f"The host {host} has no address. The My Domain name in the Airflow connection is probably mistyped: "
            "expected 'login', 'test', or a name such as 'acme' for acme.my.salesforce.com."
        )
    return SalesforceUnavailableError(
        f"{host} did not answer ({type(error).__name__}). Trying again later may help; "
        "if it never answers, check the host of the Airflow connection to Salesforce."
    )


def _is_name_error(error: BaseException) -> bool:
    reasons: list[object] = [error]
    while reasons:
        reason = reasons.pop()
        if isinstance(reason, NameResolutionError):
            return True
        if isinstance(reason, BaseException):
            reasons += [*reason.args, getattr(reason, "reason", None)]
    return False
