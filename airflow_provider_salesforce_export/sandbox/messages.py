"""A call of the data API and its reply, without HTTP's machinery."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

from airflow_provider_salesforce_export.sandbox.errors import SalesforceError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


@dataclass
class Request:
    """
    A call of the data API.

    :param method: HTTP method.
    :param path: What follows ``/services/data``, decoded.
    :param query: Parameters of the URL.
    :param headers: Headers, to be looked up in lower case.
    :param body: The body.
    """

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes = b""

    def posted(self) -> dict[str, Any]:
        """
        Return the JSON object in the body.

        :raises SalesforceError: It is none.
        """
        try:
            posted = msgspec.json.decode(self.body)
        except msgspec.DecodeError as error:
            raise SalesforceError(400, "JSON_PARSER_ERROR", str(error)) from None
        if not isinstance(posted, dict):
            raise SalesforceError(400, "JSON_PARSER_ERROR", "An object was expected")
        return posted


@dataclass
class Reply:
    """
    What the org answers.

    :param status: HTTP status.
    :param body: The body, JSON unless a header says otherwise.
    :param headers: Headers.
    :param stream: The body piece by piece, where it is too large to be held.
    :param compressed_stream: The same, compressed by gzip.
    """

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    stream: Iterator[bytes] | None = None
    compressed_stream: Iterator[bytes] | None = None

    @classmethod
    def json(cls, value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Reply:
        """
        Return a reply with a body in JSON.

        :param value: The body.
        :param status: HTTP status.
        :param headers: Headers.
        """
        return cls(status, msgspec.json.encode(value), headers or {})
