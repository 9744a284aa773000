"""JSON Lines: one record on each line, as https://jsonlines.org says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from airflow_provider_salesforce_export.salesforce.records import Identified

if TYPE_CHECKING:
    from airflow_provider_salesforce_export.export.formats.json_pages import PageNumbers

_ENCODER = msgspec.json.Encoder()
_ID_DECODER = msgspec.json.Decoder(Identified)


class JsonLines:
    """
    Pages as JSON Lines.

    :param record_type: The struct that holds a record.
    """

    extension = ".jsonl"

    def __init__(self, record_type: type[Any]) -> None:
        self._decoder = msgspec.json.Decoder(record_type)

    def encode(self, records: list[Any], numbers: PageNumbers) -> bytes:
        """
        Return a page as bytes.

        :param records: The records, as structs.
        :param numbers: Not told by this format.
        """
        return _ENCODER.encode_lines(records)

    def decode(self, content: bytes) -> list[Any]:
        """
        Return the records of a page.

        :param content: What :meth:`encode` returned.
        """
        return self._decoder.decode_lines(content)

    def ids(self, content: bytes) -> list[str]:
        """
        Return the Ids of a page.

        :param content: What :meth:`encode` returned.
        """
        return [record.Id for record in _ID_DECODER.decode_lines(content)]
