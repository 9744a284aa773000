"""
How a task waits: deferred, so that it holds no worker slot.

What it has done so far travels in the trigger's event; ``resume(context, event)`` of the operator goes on from there.
"""

from __future__ import annotations

import json
import lzma
from base64 import b64decode, b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, NoReturn

from airflow_provider_salesforce_export.exceptions import QuotaReachedError

if TYPE_CHECKING:
    from airflow_provider_salesforce_export.hooks.salesforce_export import SalesforceExportHook
    from airflow_provider_salesforce_export.operators.base import SalesforceOperator

QUOTA_WAIT = timedelta(hours=1)
"""How long a run waits for API quota before it tries again."""

_MAX_QUOTA_WAITS = 24
"""Salesforce counts the calls of the last 24 hours: what is not free by then does not become free."""


def wait(operator: SalesforceOperator, until: datetime, state: dict[str, Any]) -> NoReturn:
    """
    Defer a task.

    :param operator: The operator of the task; its ``resume`` is called with the state as ``event``.
    :param until: When it goes on.
    :param state: Plain data, without secrets.
    """
    from airflow_provider_salesforce_export.triggers.wait import WaitTrigger

    operator.defer(trigger=WaitTrigger(until.isoformat(), packed(state)), method_name="resume")


def packed(state: dict[str, Any]) -> dict[str, Any]:
    """
    Return a state for a trigger: where its database is MySQL, Airflow keeps 64 KB, and a plan of many fields has more.

    :param state: Plain data, without secrets.
    """
    # A plan names each field several times, further apart than zlib looks back.
    compressed = lzma.compress(json.dumps(state).encode())
    return {"packed": b64encode(compressed).decode(), "api_calls": state.get("api_calls", 0)}


def unpacked(event: dict[str, Any]) -> dict[str, Any]:
    """
    Return what :func:`packed` was given, with the API calls that the trigger counted.

    :param event: What a trigger gave back.
    """
    state: dict[str, Any] = json.loads(lzma.decompress(b64decode(event["packed"])))
    return state | {"api_calls": event["api_calls"]}


@contextmanager
def waiting_for_quota(
    operator: SalesforceOperator, hook: SalesforceExportHook, event: dict[str, Any]
) -> Iterator[None]:
    """
    Defer the task where the block meets the limit of API calls.

    :param operator: The operator of the task.
    :param hook: What the block talks to Salesforce with. It goes on counting calls where the task was deferred before.
    :param event: What the task has done so far, as plain data; the block may add to it. What waiting itself needs is
        kept in it as ``api_calls`` and ``quota_waits``.
    :raises QuotaReachedError: The task has waited for a day.
    """
    hook.client.usage.calls = event.get("api_calls", 0)
    try:
        yield
    except QuotaReachedError as error:
        waits = event.get("quota_waits", 0) + 1
        if waits > _MAX_QUOTA_WAITS:
            raise
        until = datetime.now(timezone.utc) + QUOTA_WAIT
        operator.log.warning("%s Waiting until %s, without a worker slot.", error, f"{until:%Y-%m-%d %H:%M:%S %Z}")
        wait(operator, until, event | {"api_calls": hook.client.usage.calls, "quota_waits": waits})
