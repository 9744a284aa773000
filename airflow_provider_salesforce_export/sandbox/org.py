"""The org: its records, its tokens, its clock, and the knobs that tests turn."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from airflow_provider_salesforce_export.sandbox.bulk_jobs import BulkJobs
from airflow_provider_salesforce_export.sandbox.cursors import QueryCursors
from airflow_provider_salesforce_export.sandbox.data import populate
from airflow_provider_salesforce_export.sandbox.errors import SalesforceError
from airflow_provider_salesforce_export.sandbox.faults import Fault, Faults
from airflow_provider_salesforce_export.sandbox.filters import datetime_text
from airflow_provider_salesforce_export.sandbox.ids import encode, to_18
from airflow_provider_salesforce_export.sandbox.oauth import OAuth
from airflow_provider_salesforce_export.sandbox.objects import OBJECTS
from airflow_provider_salesforce_export.sandbox.schema import Schema
from airflow_provider_salesforce_export.sandbox.settings import SandboxSettings
from airflow_provider_salesforce_export.sandbox.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass
class Call:
    """
    A call that the org has answered.

    :param method: HTTP method.
    :param path: Path, without the query.
    :param soql: The query, if it was one.
    :param status: HTTP status of the reply.
    :param user_agent: Who called.
    """

    method: str
    path: str
    soql: str | None
    status: int
    user_agent: str


class SandboxOrg:
    """
    A Salesforce org. Close it when done: its records lie in a temporary file.

    ``before_request`` is a list of callables that are called with method, path and query text before each data call
    is worked on; ``calls`` lists what was answered; ``api_calls`` and ``token_calls`` count the data calls, and those
    of the token endpoint.

    :param settings: Sizes, behaviour, credentials.
    """

    def __init__(self, settings: SandboxSettings | None = None) -> None:
        self.settings = settings or SandboxSettings()
        self.url = f"http://{self.settings.host}:{self.settings.port}"
        self.schema = Schema(OBJECTS, self.settings.hidden_fields)
        self.cursors = QueryCursors()
        self.faults = Faults()
        self.before_request: list[Callable[[str, str, str], object]] = []
        self.calls: list[Call] = []
        self.api_calls = 0
        self.token_calls = 0
        self._began = time.monotonic()
        self._start = (self.settings.now or datetime.now(timezone.utc)).astimezone(timezone.utc)
        self.schema_changed = self._start.replace(microsecond=0)
        self._counting = threading.Lock()
        self.store = Store(OBJECTS)
        populate(self.store, self.settings, self._start)
        self.user_id = self._first_user()
        self.bulk_jobs = BulkJobs(self.store, self.settings)
        self.oauth = OAuth(self.settings, self._organization_id(), self.user_id)

    def close(self) -> None:
        """Remove the org's records."""
        self.bulk_jobs.close()
        self.store.close()

    def now(self) -> datetime:
        """Return the time on the org's clock, in UTC."""
        return self._start + timedelta(seconds=time.monotonic() - self._began)

    def advance(self, time: timedelta) -> None:
        """
        Put the org's clock forward.

        :param time: By how much.
        """
        self._start += time

    def stamp(self) -> str:
        """Return the time on the org's clock as Salesforce stamps records."""
        # Salesforce's stamps have milliseconds, and they are always zero.
        return datetime_text(self.now().replace(microsecond=0).isoformat())

    def issue_token(self) -> dict[str, str]:
        """Return a full token reply, as after a login in the browser."""
        return self.oauth.issue(self.url)

    def expire_tokens(self) -> None:
        """End all sessions; refresh tokens live on."""
        self.oauth.sessions.expire()

    def expire_tokens_after(self, n_calls: int) -> None:
        """
        End all sessions once, after some more data calls.

        :param n_calls: How many calls still succeed.
        """
        self.oauth.sessions.expire_after(n_calls)

    def revoke_grants(self) -> None:
        """Revoke all refresh tokens and end all sessions, as when an administrator blocks the app."""
        self.oauth.sessions.revoke_all()

    def fail_next(
        self,
        times: int = 1,
        status: int = 503,
        body: Any = None,
        headers: dict[str, str] | None = None,
        path_pattern: str | None = None,
        after: int = 0,
        truncate: int | None = None,
    ) -> None:
        """
        Have calls to come go wrong.

        :param times: How many calls.
        :param status: HTTP status of the reply.
        :param body: The reply: text, bytes, or something for JSON; by default Salesforce's error for the status.
        :param headers: Headers of the reply.
        :param path_pattern: Regular expression to be found in path and query; by default all data calls.
        :param after: How many matching calls pass before it begins.
        :param truncate: Send the real reply with its headers, but no more than this many bytes of its body.
        """
        self.faults.add(Fault(times, status, body, headers or {}, path_pattern, after, truncate))

    def insert(self, sobject: str, **values: Any) -> str:
        """
        Insert a record, system fields included where given, and return its Id.

        :param sobject: Name of the object.
        :param values: Its fields.
        :raises SalesforceError: There is no such object or field.
        """
        now = self.stamp()
        columns = {
            "OwnerId": self.user_id,
            "CreatedDate": now,
            "CreatedById": self.user_id,
            "LastModifiedDate": now,
            "LastModifiedById": self.user_id,
            "SystemModstamp": now,
            **self._columns(sobject, values),
        }
        stored = {field.name for field in self.schema.get(sobject).stored}
        columns = {name: value for name, value in columns.items() if name in stored}
        return self.store.insert(self.schema.get(sobject).name, _with_name(stored, columns, columns))

    def update(self, sobject: str, record_id: str, **values: Any) -> None:
        """
        Change a record; SystemModstamp and LastModifiedDate move unless given.

        :param sobject: Name of the object.
        :param record_id: Its Id.
        :param values: New values of its fields.
        :raises SalesforceError: There is no such object, field or record.
        """
        now = self.stamp()
        name = self.schema.get(sobject).name
        columns = {"SystemModstamp": now, "LastModifiedDate": now, **self._columns(sobject, values)}
        before = self._existing(name, record_id)
        self.store.update(name, before["Id"], _with_name(set(before), columns, {**before, **columns}))

    def delete(self, sobject: str, record_id: str) -> None:
        """
        Put a record in the recycle bin; SystemModstamp moves.

        :param sobject: Name of the object.
        :param record_id: Its Id.
        :raises SalesforceError: There is no such object or record.
        """
        self.update(sobject, record_id, IsDeleted=True)

    def undelete(self, sobject: str, record_id: str) -> None:
        """
        Take a record out of the recycle bin; SystemModstamp moves.

        :param sobject: Name of the object.
        :param record_id: Its Id.
        :raises SalesforceError: There is no such object or record.
        """
        self.update(sobject, record_id, IsDeleted=False)

    def hard_delete(self, sobject: str, record_id: str) -> None:
        """
        Remove a record for good.

        :param sobject: Name of the object.
        :param record_id: Its Id.
        :raises SalesforceError: There is no such object or record.
        """
        name = self.schema.get(sobject).name
        self.store.remove(name, self._existing(name, record_id)["Id"])

    def count_api_call(self) -> int | None:
        """Count a data call and return how many there were today; None when the quota is used up."""
        with self._counting:
            if self.api_calls >= self.settings.api_quota:
                return None
            self.api_calls += 1
            return self.api_calls

    def count_token_call(self) -> None:
        """Count a call of the token endpoint."""
        with self._counting:
            self.token_calls += 1

    def state(self) -> dict[str, Any]:
        """Return counters and those settings that may be shown."""
        settings = self.settings
        return {
            "url": self.url,
            "now": self.stamp(),
            "api_calls": self.api_calls,
            "token_calls": self.token_calls,
            "calls": len(self.calls),
            "settings": {
                "contacts": settings.contacts,
                "deals": settings.deals,
                "notes": settings.notes,
                "seed": settings.seed,
                "latency": settings.latency,
                "token_lifetime": settings.token_lifetime,
                "rotate_refresh_tokens": settings.rotate_refresh_tokens,
                "api_quota": settings.api_quota,
                "batch_size": settings.batch_size,
                "bulk_seconds": settings.bulk_seconds,
                "bulk_chunk_size": settings.bulk_chunk_size,
                "hidden_fields": list(settings.hidden_fields),
                "client_id": settings.client_id,
                "username": settings.username,
            },
        }

    def _organization_id(self) -> str:
        return to_18(f"00DTn0000A{encode(self.settings.seed % 62**5, 5)}")

    def _first_user(self) -> str:
        with self.store.reading() as connection:
            return str(connection.execute('SELECT MIN(Id) FROM "User"').fetchone()[0])

    def _existing(self, sobject: str, record_id: str) -> dict[str, Any]:
        try:
            found = self.store.find(sobject, to_18(record_id))
        except ValueError:
            found = None
        if found is None:
            raise SalesforceError(404, "NOT_FOUND", "The requested resource does not exist")
        return found

    def _columns(self, sobject: str, values: dict[str, Any]) -> dict[str, Any]:
        fields = self.schema.get(sobject).by_name
        columns = {}
        for name, value in values.items():
            field = fields.get(name.lower())
            if (field is None or field.parts) and name != "IsDeleted":
                message = f"No such column '{name}' on sobject of type {self.schema.get(sobject).name}"
                raise SalesforceError(400, "INVALID_FIELD", message)
            columns[field.name if field else name] = _column_value(field.type if field else "boolean", value)
        return columns


def _with_name(stored: set[str], columns: dict[str, Any], record: dict[str, Any]) -> dict[str, Any]:
    """Keep a person's Name in step with the parts that it is made of."""
    if "LastName" not in stored or "Name" in columns or not {"FirstName", "LastName"} & set(columns):
        return columns
    parts = (record.get("FirstName"), record.get("LastName"))
    return {**columns, "Name": " ".join(part for part in parts if part)}


def _column_value(field_type: str, value: Any) -> Any:
    """Return a value as the tables hold it."""
    if isinstance(value, datetime):
        value = (value if value.tzinfo else value.replace(tzinfo=timezone.utc)).isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if value is None:
        return None
    if field_type == "datetime":
        return datetime_text(value)
    if field_type in {"id", "reference"}:
        return to_18(value)
    return int(value) if isinstance(value, bool) else value
