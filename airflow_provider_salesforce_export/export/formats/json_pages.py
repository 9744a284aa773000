"""JSON pages: records in the envelope of the service that this package replaces."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from airflow_provider_salesforce_export.salesforce.records import Identified

_ENCODER = msgspec.json.Encoder()
_ID_DECODER: msgspec.json.Decoder[Any] = msgspec.json.Decoder(msgspec.defstruct("Page", [("data", list[Identified])]))


@dataclass(frozen=True)
class PageNumbers:
    """
    Where a page stands in the whole object, as counted at the start.

    :param page: Its number, from 1.
    :param per_page: The page size.
    :param total: Rows of the object.
    :param total_pages: Pages of the object.
    :param offset: Rows of the object before this page; None where nobody knows.
    """

    page: int
    per_page: int
    total: int
    total_pages: int
    offset: int | None


def json_page_chunks(batches: Iterable[list[Any]], numbers: PageNumbers) -> Iterator[bytes]:
    """
    Yield a page as JSON, a batch of records at a time; it is no JSON before the last chunk.

    :param batches: The records, as structs.
    :param numbers: What the pagination says.
    """
    before = b'{"success":true,"message":"SUCCESS","data":['
    for batch in batches:
        if batch:
            yield before + _ENCODER.encode(batch)[1:-1]
            before = b","
    yield (b"" if before == b"," else before) + b'],"pagination":' + _ENCODER.encode(_pagination(numbers)) + b"}"


def _pagination(numbers: PageNumbers) -> dict[str, int | None]:
    return {
        "page": numbers.page,
        "per_page": numbers.per_page,
        "total": numbers.total,
        "total_pages": numbers.total_pages,
        "next_page": numbers.page + 1 if numbers.page < numbers.total_pages else None,
        "prev_page": numbers.page - 1 if numbers.page > 1 else None,
        "offsetValue": numbers.offset,
    }


class JsonPages:
    """
    Pages as JSON.

    :param record_type: The struct that holds a record.
    """

    extension = ".json"

    def __init__(self, record_type: type[Any]) -> None:
        self._decoder = msgspec.json.Decoder(list[record_type])  # type: ignore[valid-type]

    def encode(self, records: list[Any], numbers: PageNumbers) -> bytes:
        """
        Return a page as bytes.

        :param records: The records, as structs.
        :param numbers: What the pagination says.
        """
        return b"".join(json_page_chunks([records], numbers))

    def decode(self, content: bytes) -> list[Any]:
        """
        Return the records of a page.

        :param content: What :meth:`encode` returned.
        """
        page = msgspec.json.decode(content, type=dict[str, msgspec.Raw])
        records: list[Any] = self._decoder.decode(page["data"])
        return records

    def ids(self, content: bytes) -> list[str]:
        """
        Return the Ids of a page.

        :param content: What :meth:`encode` returned.
        """
        return [record.Id for record in _ID_DECODER.decode(content).data]
