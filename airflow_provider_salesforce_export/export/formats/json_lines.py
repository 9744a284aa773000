"""JSON Lines: one record on each line, as https://jsonlines.org says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from airflow_provider_salesforce_export.export.formats.json_pages import PageNumbers

_ENCODER = msgspec.json.Encoder()


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
