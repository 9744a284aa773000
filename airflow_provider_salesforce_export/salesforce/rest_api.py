"""The REST API of one org as requests and replies: 401, passing failures, the API quota, and what errors mean."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from email.utils import mktime_tz, parsedate_tz
from typing import TYPE_CHECKING, Any

import msgspec
import requests
from tenacity import retry, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from airflow_provider_salesforce_export.exceptions import (
    ApiVersionError,
    ConcurrentRequestsError,
    ConfigurationError,
    IncompleteResponseError,
    QuotaReachedError,
    SalesforceError,
)
from airflow_provider_salesforce_export.salesforce.errors import error_of, incomplete
from airflow_provider_salesforce_export.salesforce.session import SessionAuth, identity_of
from airflow_provider_salesforce_export.salesforce.transport import new_session, unreachable

if TYPE_CHECKING:
    from airflow_provider_salesforce_export.salesforce.meter import Meter
    from airflow_provider_salesforce_export.salesforce.session import TokenSource

_PIECE = 2**18  # bytes: with the 10 KiB that requests reads by itself, unpacking takes longer
_API_USAGE = re.compile(r"api-usage=(\d+)/(\d+)")


@dataclass
class ApiUsage:
    """
    Calls made, and how much of the org's daily quota is used.

    :param calls: Calls that this client made.
    :param used: Calls of the last 24 hours by everybody in the org; None until Salesforce has said it.
    :param limit: The org's quota for 24 hours; None until Salesforce has said it.
    """

    calls: int = 0
    used: int | None = None
    limit: int | None = None


def parsed(content: bytes, type: Any = Any) -> Any:
    """
    Return what some JSON says.

    :param content: The JSON.
    :param type: What it must be, as msgspec understands it.
    :raises IncompleteResponseError: It is not that, or no JSON.
    """
    try:
        return msgspec.json.decode(content, type=type)
    except msgspec.ValidationError as error:
        raise incomplete(f"is not what was asked for ({error})") from None
    except msgspec.DecodeError:
        raise incomplete("is not JSON (a maintenance or login page, or cut short)") from None


class RestApi:
    """
    The REST API of one org. Threads may share it. See :class:`SalesforceClient` for the parameters.

    :param tokens: Where the access token comes from.
    :param api_version: Such as ``62.0``.
    :param timeout: Seconds to wait for a connection, and seconds to wait for a reply.
    :param proxies: As for requests.
    :param pool_size: How many connections are kept open.
    :param api_quota_limit: The share of the org's API quota above which no call is made; None for no limit.
    :param meter: Is told of calls, and of what is left of the quota.
    """

    def __init__(
        self,
        tokens: TokenSource,
        api_version: str,
        timeout: tuple[float, float],
        proxies: dict[str, str] | None,
        pool_size: int,
        api_quota_limit: float | None,
        meter: Meter,
    ) -> None:
        self.usage = ApiUsage()
        self._date = ""
        self.data_path = f"/services/data/v{api_version}"
        self._api_version = api_version
        self._tokens = tokens
        self._timeout = timeout
        self._proxies = proxies
        self._api_quota_limit = api_quota_limit
        self.meter = meter
        self._usage_lock = threading.Lock()
        self._session = new_session(pool_size=pool_size)
        self._session.auth = self._auth = SessionAuth(tokens, meter)

    @property
    def instance_url(self) -> str:
        """Return the address of the org, as its token names it."""
        return str(self._tokens.current()["instance_url"])

    @property
    def said_at(self) -> datetime | None:
        """Return when the last reply was sent, by the org's clock, to the second; None where that is not known."""
        date = parsedate_tz(self._date)
        return datetime.fromtimestamp(mktime_tz(date), timezone.utc) if date else None

    @property
    def identity(self) -> str | None:
        """Return whose the token is: see :func:`~airflow_provider_salesforce_export.salesforce.session.identity_of`."""
        return identity_of(self._tokens.current())

    def require_identity(self, identity: str | None) -> None:
        """
        Send no request from now on with a token of somebody else.

        :param identity: Whose tokens may be used, as :attr:`identity` says it; None for anybody's.
        """
        self._auth.identity = identity

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def require_quota(self, calls: int) -> None:
        """
        Make sure that some calls are within the share of the org's API quota that may be used.

        :param calls: How many calls are to be made.
        :raises QuotaReachedError: They are not, at this moment.
        :raises ConfigurationError: They never can be.
        """
        used, limit = self.usage.used, self.usage.limit
        if self._api_quota_limit is None or used is None or limit is None:
            return
        allowed = int(limit * self._api_quota_limit)
        if calls > allowed:
            raise ConfigurationError(
                f"This needs about {calls} API calls, and api_quota_limit={self._api_quota_limit} allows {allowed} of "
                f"the org's {limit} a day: raise page_size or api_quota_limit, or narrow the export."
            )
        if used + calls > allowed:
            raise QuotaReachedError(
                f"{used} of the org's {limit} API calls of 24 hours are used, {calls} more are needed, and "
                f"api_quota_limit={self._api_quota_limit} allows {allowed}."
            )

    @retry(
        retry=retry_if_exception_type((IncompleteResponseError, ConcurrentRequestsError)),
        stop=stop_after_attempt(5),
        wait=wait_random_exponential(max=10),
        reraise=True,
    )
    def get(self, path: str, params: dict[str, str] | None = None, *, parse: Callable[[bytes], Any] = parsed) -> Any:
        """
        Return what a GET request is answered with; repeat it where that may help.

        :param path: From the host on.
        :param params: The query.
        :param parse: Makes what is returned of the reply; where it raises IncompleteResponseError, that is asked again.
        :raises SalesforceError: See :mod:`airflow_provider_salesforce_export.exceptions`.
        """
        with self.stream(path, params) as (_, body):
            return parse(b"".join(body))

    @contextmanager
    def stream(
        self, path: str, params: dict[str, str] | None = None
    ) -> Iterator[tuple[Mapping[str, str], Iterator[bytes]]]:
        """
        Give the headers of the reply to a GET request, and its body piece by piece, decompressed.

        Nothing is repeated once the headers have come.

        :param path: From the host on.
        :param params: The query.
        :raises IncompleteResponseError: The body is cut short; by the iterator.
        :raises SalesforceError: As for :meth:`get`.
        """
        with self._request("GET", path, params=params, stream=True) as response:
            yield response.headers, _pieces(response)

    def write(self, method: str, path: str, values: dict[str, Any] | None = None, *, heed_quota: bool = True) -> Any:
        """
        Return what a request that changes something is answered with, None for no content; it is never repeated.

        :param method: ``POST``, ``PATCH`` or ``DELETE``.
        :param path: From the host on.
        :param values: The body, as JSON.
        :param heed_quota: Whether it is left undone above the share of the API quota that may be used.
        :raises SalesforceError: As for :meth:`get`.
        """
        response = self._request(method, path, heed_quota=heed_quota, json=values)
        return parsed(response.content) if response.content else None

    def _request(self, method: str, path: str, *, heed_quota: bool = True, **options: Any) -> requests.Response:
        if heed_quota:
            self.require_quota(1)
        url = self.instance_url + path
        try:
            response = self._session.request(method, url, timeout=self._timeout, proxies=self._proxies, **options)
            if not response.ok:
                _ = response.content  # what is wrong
        except (requests.exceptions.ChunkedEncodingError, requests.exceptions.ContentDecodingError):
            raise incomplete("was cut short") from None
        except requests.RequestException as error:
            raise unreachable(error, url) from None
        self._note_usage(response)
        self._date = response.headers.get("Date", "")
        if not response.ok:
            raise self._explain(error_of(response), path)
        return response

    def _note_usage(self, response: requests.Response) -> None:
        said = _API_USAGE.search(response.headers.get("Sforce-Limit-Info", ""))
        usage = (int(said[1]), int(said[2])) if said else None
        calls = sum(1 + _repeats(reply) for reply in (response, *response.history))
        with self._usage_lock:
            self.usage.calls += calls
            if usage:
                self.usage.used, self.usage.limit = usage
        self.meter.count("api_calls", calls)
        if usage:
            used, limit = usage
            self.meter.gauge("api_quota_left", limit - used)
            self.meter.gauge("api_quota_left_percent", round(100 * (1 - used / limit), 1) if limit else 0)

    def _explain(self, error: SalesforceError, path: str) -> SalesforceError:
        """Say which versions there are, where a path is not found because its version is not."""
        version_may_be_wrong = isinstance(error, ApiVersionError) or error.error_code == "NOT_FOUND"
        if not (version_may_be_wrong and path.startswith(self.data_path)):
            return error
        offered = self.versions()
        if self._api_version in offered:
            return error
        return ApiVersionError(
            f"This org has no API version {self._api_version}; it has {offered[0]} to {offered[-1]}. "
            "Correct api_version of the Airflow connection.",
            error_code=error.error_code,
            status_code=error.status_code,
        )

    def versions(self) -> list[str]:
        """Return the API versions of the org, oldest first."""
        return [entry["version"] for entry in self.get("/services/data/")]


def _pieces(response: requests.Response) -> Iterator[bytes]:
    try:
        yield from response.iter_content(_PIECE)
    except requests.RequestException:
        raise incomplete("was cut short") from None


def _repeats(response: requests.Response) -> int:
    """Return how often the transport repeated the request before this reply came."""
    retries = getattr(response.raw, "retries", None)
    return len(retries.history) if retries else 0
