"""
How fast each format is: from the bytes of a reply to the bytes of a file, by one thread, without a network.

The reply is the sandbox org's own, compressed as it came; every page is the same.
"""

from __future__ import annotations

import gzip
import io
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import requests
import urllib3
from requests.adapters import HTTPAdapter

from benchmarks.contacts import PAGE_SIZE, QUERY
from benchmarks.measuring import measure, report, run_fresh
from benchmarks.org import running_org

FORMATS = (
    ("json", None),
    ("jsonl", None),
    ("jsonl", "gzip"),
    ("jsonl", "zstd"),
    ("csv", None),
    ("csv", "gzip"),
    ("parquet", None),
)
_PAGES = 100


def compare_formats() -> dict[str, dict[str, Any]]:
    """Return by format: rows a CPU second, and bytes a row."""
    with running_org(contacts=PAGE_SIZE, latency=0) as org:
        token = org.token()
        reply = requests.get(
            f"{token['instance_url']}/services/data/v62.0/query",
            params={"q": QUERY.select()},
            headers={"Authorization": f"Bearer {token['access_token']}"},
            timeout=60,
        )
        reply.raise_for_status()
    with tempfile.NamedTemporaryFile(suffix=".gz") as file:
        Path(file.name).write_bytes(gzip.compress(reply.content, 1))
        return {
            "+".join(filter(None, choice)): run_fresh("benchmarks.formats", {"reply": file.name, "choice": choice})
            for choice in FORMATS
        }


class _Canned(HTTPAdapter):
    """Answers every request with the same reply."""

    def __init__(self, content: bytes) -> None:
        super().__init__()
        self._content = content

    def send(self, request: requests.PreparedRequest, *_args: Any, **_options: Any) -> requests.Response:
        raw = urllib3.HTTPResponse(
            io.BytesIO(self._content), {"Content-Encoding": "gzip"}, status=200, preload_content=False
        )
        return self.build_response(request, raw)


def _write_pages(job: Mapping[str, Any]) -> dict[str, Any]:
    from airflow_provider_salesforce_export.export.plan import Plan, Segment
    from airflow_provider_salesforce_export.export.schema import Column, Schema
    from airflow_provider_salesforce_export.export.segments import export_segments
    from airflow_provider_salesforce_export.salesforce.client import SalesforceClient
    from benchmarks.contacts import StaticToken, contacts_request

    output_format, compression = job["choice"]
    client = SalesforceClient(StaticToken({"instance_url": "https://acme.my.salesforce.com", "access_token": ""}))
    client._api._session.mount("https://", _Canned(Path(job["reply"]).read_bytes()))
    paths = (field.removeprefix(f"{QUERY.sobject}.") for field in QUERY.fields)
    types = {"SystemModstamp": "datetime"}
    plan = Plan(
        request=replace(contacts_request(), output_format=output_format, compression=compression),
        schema=Schema(tuple(Column(path, types.get(path, "string")) for path in paths)),
        pagination="range",
        total=PAGE_SIZE * _PAGES,
        total_pages=_PAGES,
        run="bench",
        started_at="",
        segments=tuple(Segment(number + 1, 1, number * PAGE_SIZE) for number in range(_PAGES)),
    )
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        export_segments(client, replace(plan, segments=plan.segments[:1]), Path(folder), threads=1, attempt=2)
        cost, pages = measure(lambda: export_segments(client, plan, Path(folder), threads=1, attempt=1))
    rows = sum(page["rows"] for page in pages)
    if rows != PAGE_SIZE * _PAGES:
        raise RuntimeError(f"{rows} rows were written.")
    return {"rows_per_cpu_second": round(rows / cost.cpu), "bytes_per_row": sum(p["bytes"] for p in pages) / rows}


if __name__ == "__main__":
    report(_write_pages)
