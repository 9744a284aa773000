"""The data API: from a request under /services/data to a reply."""

from __future__ import annotations

import re
from email.utils import format_datetime, parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from airflow_provider_salesforce_export.sandbox.bulk_api import BulkApi
from airflow_provider_salesforce_export.sandbox.cursors import QueryCursor
from airflow_provider_salesforce_export.sandbox.errors import SalesforceError
from airflow_provider_salesforce_export.sandbox.messages import Reply
from airflow_provider_salesforce_export.sandbox.records import Records
from airflow_provider_salesforce_export.sandbox.translate import translate
from airflow_provider_salesforce_export.sandbox.versions import check_version, versions

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_salesforce_export.sandbox.messages import Request
    from airflow_provider_salesforce_export.sandbox.org import SandboxOrg
    from airflow_provider_salesforce_export.sandbox.translate import Statement

MIN_BATCH = 200
MAX_BATCH = 2_000
_BATCH_OPTION = re.compile(r"batchSize\s*=\s*(\d+)")
_LOCATOR = re.compile(r"(\w{18})-(\d+)")


class DataApi:
    """
    Answers calls of the data API.

    :param org: The org.
    """

    def __init__(self, org: SandboxOrg) -> None:
        self.org = org
        records = Records(org)
        bulk = BulkApi(org)
        self._routes: list[tuple[re.Pattern[str], dict[str, Callable[..., Any]]]] = [
            (re.compile(r"/?"), {"GET": self._resources}),
            (re.compile(r"/query"), {"GET": self._query}),
            (re.compile(r"/queryAll"), {"GET": self._query_all}),
            (re.compile(r"/(?:query|queryAll)/([^/]+)"), {"GET": self._query_more}),
            (re.compile(r"/limits"), {"GET": self._limits}),
            (re.compile(r"/sobjects"), {"GET": self._objects}),
            (re.compile(r"/sobjects/(\w+)"), {"GET": self._object, "POST": records.create}),
            (re.compile(r"/sobjects/(\w+)/describe"), {"GET": self._describe}),
            (
                re.compile(r"/sobjects/(\w+)/(\w+)"),
                {"GET": records.retrieve, "PATCH": records.update, "DELETE": records.delete},
            ),
            (re.compile(r"/sobjects/(\w+)/(\w+)/(\w+)"), {"GET": records.file}),
            (re.compile(r"/jobs/query"), {"GET": bulk.jobs, "POST": bulk.create}),
            (re.compile(r"/jobs/query/(\w+)"), {"GET": bulk.job, "PATCH": bulk.abort, "DELETE": bulk.delete}),
            (re.compile(r"/jobs/query/(\w+)/results"), {"GET": bulk.results}),
            (re.compile(r"/jobs/query/(\w+)/resultPages"), {"GET": bulk.result_pages}),
        ]

    def answer(self, request: Request) -> Reply:
        """
        Answer a call.

        :param request: The call.
        """
        if request.path.strip("/") == "":
            return Reply.json(versions())
        usage: dict[str, str] = {}
        try:
            version, _, rest = request.path.lstrip("/").partition("/")
            number = check_version(version)
            self._authenticate(request.headers.get("authorization"))
            usage = self._count_call()
            reply = self._route(request, f"/{rest.rstrip('/')}", number)
        except SalesforceError as error:
            reply = Reply.json(error.body(), error.status)
            if error.status == 401:
                reply.headers["WWW-Authenticate"] = "Token"
        reply.headers.update(usage)
        return reply

    def _authenticate(self, header: str | None) -> None:
        kind, _, token = (header or "").partition(" ")
        if kind not in {"Bearer", "OAuth"}:
            raise SalesforceError(401, "INVALID_AUTH_HEADER", "INVALID_HEADER_TYPE")
        if self.org.oauth.sessions.use(token.strip()) is None:
            raise SalesforceError(401, "INVALID_SESSION_ID", "Session expired or invalid")

    def _count_call(self) -> dict[str, str]:
        """Count a call against the day's quota, and return the header that says so."""
        used = self.org.count_api_call()
        if used is None:
            raise SalesforceError(403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.")
        return {"Sforce-Limit-Info": f"api-usage={used}/{self.org.settings.api_quota}"}

    def _route(self, request: Request, path: str, version: str) -> Reply:
        for pattern, methods in self._routes:
            if match := pattern.fullmatch(path):
                if request.method not in methods:
                    message = f"HTTP Method '{request.method}' not allowed. Allowed are {','.join(methods)}"
                    raise SalesforceError(405, "METHOD_NOT_ALLOWED", message)
                reply: Reply = methods[request.method](request, version, *match.groups())
                return reply
        raise SalesforceError(404, "NOT_FOUND", "The requested resource does not exist")

    def _resources(self, request: Request, version: str) -> Reply:
        base = f"/services/data/v{version}"
        return Reply.json({name: f"{base}/{name}" for name in ("jobs", "limits", "query", "queryAll", "sobjects")})

    def _query(self, request: Request, version: str) -> Reply:
        return self._run(request, version, include_deleted=False)

    def _query_all(self, request: Request, version: str) -> Reply:
        return self._run(request, version, include_deleted=True)

    def _run(self, request: Request, version: str, *, include_deleted: bool) -> Reply:
        soql = request.query.get("q")
        if not soql:
            raise SalesforceError(400, "MALFORMED_QUERY", "SOQL statements cannot be empty or null")
        statement = translate(self.org.schema, soql, version, include_deleted=include_deleted)
        if statement.page is None:
            return self._total(statement)
        asked = _BATCH_OPTION.search(request.headers.get("sforce-query-options", ""))
        batch = min(max(int(asked[1]), MIN_BATCH), MAX_BATCH) if asked else MAX_BATCH
        with self.org.store.reading() as connection:
            found = connection.execute(statement.find, statement.parameters).fetchone()[0]
        rows = found.split(",") if found else []
        batch = max(1, min(batch, self.org.settings.batch_size))
        if statement.has_offset:
            rows = rows[:batch]
        return self._batch(QueryCursor(rows, statement.page, batch), 0, version)

    def _total(self, statement: Statement) -> Reply:
        with self.org.store.reading() as connection:
            row = connection.execute(statement.find, statement.parameters).fetchone()
        records, total = ("", row[0]) if statement.is_count else row
        return Reply(200, _result(total, records or "", None))

    def _query_more(self, request: Request, version: str, text: str) -> Reply:
        match = _LOCATOR.fullmatch(text)
        if match is None:
            raise SalesforceError(400, "INVALID_QUERY_LOCATOR", "invalid query locator")
        return self._batch(self.org.cursors.get(match[1]), int(match[2]), version, match[1])

    def _batch(self, cursor: QueryCursor, start: int, version: str, locator: str | None = None) -> Reply:
        end = start + cursor.batch_size
        following = None
        if end < len(cursor.rows):
            locator = locator or self.org.cursors.open(cursor)
            following = f"/services/data/v{version}/query/{locator}-{end}"
        else:
            cursor.finished = True
        with self.org.store.reading() as connection:
            rows = f"[{','.join(cursor.rows[start:end])}]"
            records = connection.execute(cursor.page, (rows,)).fetchone()[0]
        return Reply(200, _result(len(cursor.rows), records or "", following))

    def _limits(self, request: Request, version: str) -> Reply:
        quota = self.org.settings.api_quota
        full = {"Max": 10_000, "Remaining": 10_000}
        return Reply.json(
            {
                "DailyApiRequests": {"Max": quota, "Remaining": max(0, quota - self.org.api_calls)},
                "DailyBulkApiBatches": {"Max": 15_000, "Remaining": 15_000},
                "DailyBulkV2QueryFileStorageMB": {"Max": 976_562, "Remaining": 976_562},
                "DailyBulkV2QueryJobs": {"Max": 10_000, "Remaining": max(0, 10_000 - self.org.bulk_jobs.submitted)},
                "DataStorageMB": {"Max": 1_024, "Remaining": 512},
                "FileStorageMB": {"Max": 1_024, "Remaining": 1_000},
                "HourlyODataCallout": full,
            }
        )

    def _objects(self, request: Request, version: str) -> Reply:
        objects = [sobject.summary(version) for sobject in self.org.schema.objects]
        return Reply.json({"encoding": "UTF-8", "maxBatchSize": 200, "sobjects": objects})

    def _object(self, request: Request, version: str, name: str) -> Reply:
        summary = self.org.schema.get(name).summary(version)
        return Reply.json({"objectDescribe": summary, "recentItems": []})

    def _describe(self, request: Request, version: str, name: str) -> Reply:
        sobject = self.org.schema.get(name)
        changed = self.org.schema_changed
        headers = {"Last-Modified": format_datetime(changed, usegmt=True)}
        since = request.headers.get("if-modified-since")
        if since and _not_before(since, changed):
            return Reply(304, b"", headers)
        return Reply.json(sobject.describe(version), headers=headers)


def _result(total: int, records: str, following: str | None) -> bytes:
    """Put the reply of a query together from the records that SQLite has written."""
    next_url = f',"nextRecordsUrl":"{following}"' if following else ""
    done = "false" if following else "true"
    return f'{{"totalSize":{total},"done":{done}{next_url},"records":[{records}]}}'.encode()


def _not_before(header: str, changed: Any) -> bool:
    try:
        return bool(parsedate_to_datetime(header) >= changed)
    except (TypeError, ValueError):
        return False
