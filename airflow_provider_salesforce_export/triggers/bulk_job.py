"""Waiting for a Bulk query job, with what the task has done so far."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timezone
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent
from asgiref.sync import sync_to_async

from airflow_provider_salesforce_export.exceptions import (
    KeyCollectionUnavailableError,
    RequestLimitError,
    SalesforceExportError,
    SalesforceUnavailableError,
)
from airflow_provider_salesforce_export.export.words import counted

_SLOWER = 1.5  # times the delay before
_LONGEST_DELAY = 60.0  # seconds
_PASSING = (SalesforceUnavailableError, RequestLimitError, KeyCollectionUnavailableError)


def slower(delay: float) -> float:
    """
    Return how many seconds to wait before a job is looked at again.

    :param delay: How many it was before.
    """
    return min(delay * _SLOWER, _LONGEST_DELAY)


class BulkJobTrigger(BaseTrigger):
    """
    Wait until a Bulk query job is over or its deadline has come, then give the task its state back.

    What the job has come to, and any error that waiting does not mend, is for the task to find: it looks again.

    :param salesforce_conn_id: The Airflow connection to the org.
    :param job_id: The job.
    :param deadline: In ISO 8601 with a time zone.
    :param delay: Seconds before the first look; later ones are further apart.
    :param state: What the event brings, packed: plain data, without secrets; ``api_calls`` in it counts on.
    """

    def __init__(
        self, salesforce_conn_id: str, job_id: str, deadline: str, delay: float, state: dict[str, Any]
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.salesforce_conn_id = salesforce_conn_id
        self.job_id = job_id
        self.deadline = deadline
        self.delay = delay
        self.state = state

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class's path and its arguments, as Airflow's triggerer stores them."""
        arguments = ("salesforce_conn_id", "job_id", "deadline", "delay", "state")
        return f"{__name__}.{type(self).__name__}", {name: getattr(self, name) for name in arguments}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield the state once the job is over, or too late."""
        deadline, delay, calls = datetime.fromisoformat(self.deadline), self.delay, self.state.get("api_calls", 0)
        while (left := (deadline - datetime.now(timezone.utc)).total_seconds()) > 0:
            await asyncio.sleep(min(delay, left))
            # Airflow knows by the message of a cancellation that the task was killed; asgiref would lose it.
            is_over, made = await asyncio.shield(sync_to_async(self._look, thread_sensitive=False)())
            calls += made
            if is_over:
                break
            delay = slower(delay)
        yield TriggerEvent(self.state | {"api_calls": calls})

    async def on_kill(self) -> None:
        """Abort the job, where somebody kills the task; from Airflow 3.3 on."""
        await sync_to_async(self._abort, thread_sensitive=False)()

    def _look(self) -> tuple[bool, int]:
        """Return whether there is nothing to wait for any more, and how many API calls it took to know."""
        from airflow_provider_salesforce_export.hooks.salesforce_export import SalesforceExportHook

        with SalesforceExportHook(self.salesforce_conn_id) as hook:
            try:
                job = hook.client.bulk.job(self.job_id)
            except _PASSING as error:
                self.log.warning("Looking at the Bulk job %s again later: %s", self.job_id, error)
                return False, hook.client.usage.calls
            except SalesforceExportError:
                return True, 0
            self.log.info("The Bulk job %s is %s, with %s so far.", job.id, job.state, counted(job.records, "record"))
            return job.is_over, hook.client.usage.calls

    def _abort(self) -> None:
        from airflow_provider_salesforce_export.hooks.salesforce_export import SalesforceExportHook

        with SalesforceExportHook(self.salesforce_conn_id) as hook:
            hook.client.bulk.abort(self.job_id)
            self.log.info("Aborted the Bulk job %s.", self.job_id)
