"""From what a DAG author chose to what writes and reads the files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from airflow_provider_salesforce_export.export.formats.compression import compression_of
from airflow_provider_salesforce_export.export.formats.csv_pages import CsvPages
from airflow_provider_salesforce_export.export.formats.flat import Flat
from airflow_provider_salesforce_export.export.formats.json_lines import JsonLines
from airflow_provider_salesforce_export.export.formats.json_pages import JsonPages

if TYPE_CHECKING:
    from airflow_provider_salesforce_export.export.formats.json_pages import PageNumbers
    from airflow_provider_salesforce_export.export.plan import Plan


_ENCODER = msgspec.json.Encoder()


class Format(Protocol):
    """How records are written."""

    extension: str

    def encode(self, records: list[Any], numbers: PageNumbers) -> bytes:
        """
        Return a page as bytes.

        :param records: The records, as structs, in the order of their Ids.
        :param numbers: Where the page stands.
        """

    def decode(self, content: bytes) -> list[Any]:
        """
        Return the records of a page, as structs; encoded again, they give the same rows.

        :param content: What :meth:`encode` returned.
        """

    def ids(self, content: bytes) -> list[str]:
        """
        Return the Ids of a page.

        :param content: What :meth:`encode` returned.
        """


class PageFormat:
    """
    How the pages of an export are written: their format, compressed.

    :param plan: The plan, whose request names it.
    """

    def __init__(self, plan: Plan) -> None:
        compression = plan.request.compression
        self._format = _format(plan)
        self._compression = compression_of(None if plan.request.output_format == "parquet" else compression)
        self.extension = self._format.extension + self._compression.suffix

    def encode(self, records: list[Any], numbers: PageNumbers) -> bytes:
        """
        Return a page as bytes.

        :param records: The records, as structs or packed, in the order of their Ids.
        :param numbers: Where the page stands.
        :raises ExportError: A value is not of the type of its field, where the format has types.
        """
        return self._compression.compress(self._format.encode(records, numbers))

    def decode(self, content: bytes) -> list[Any]:
        """
        Return the records of a page, as structs; encoded again, they give the same rows.

        :param content: What :meth:`encode` returned.
        """
        return self._format.decode(self._compression.decompress(content))

    def ids(self, content: bytes) -> list[str]:
        """
        Return the Ids of a page, without the rest of its records.

        :param content: What :meth:`encode` returned.
        """
        return self._format.ids(self._compression.decompress(content))

    def pack(self, records: list[Any]) -> list[Any]:
        """
        Return records that :meth:`encode` takes too: as JSON already, in a quarter of the memory, where the format is.

        :param records: The records, as structs.
        """
        if not isinstance(self._format, JsonPages | JsonLines):
            return records
        return list(map(msgspec.Raw, _ENCODER.encode_lines(records).splitlines()))


def _format(plan: Plan) -> Format:
    request, paths, record_type = plan.request, plan.schema.paths, plan.request.query.record_type
    if request.output_format == "parquet":
        from airflow_provider_salesforce_export.export.formats.parquet import ParquetPages  # an extra

        return ParquetPages(plan.schema.columns, record_type, request.compression)
    if request.output_format == "csv":
        return CsvPages(paths, record_type)
    json_format = JsonLines if request.output_format == "jsonl" else JsonPages
    return Flat(json_format, paths, record_type) if request.flatten else json_format(record_type)
