"""Waiting for a moment, with what the task has done so far."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timezone
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

_LONGEST_SLEEP = 60.0  # seconds: the machine's clock may be set, or stand still while it sleeps


class WaitTrigger(BaseTrigger):
    """
    Wait until a moment, then give the task its state back.

    :param until: The moment, in ISO 8601 with a time zone.
    :param state: What the event brings, packed: plain data, without secrets.
    """

    def __init__(self, until: str, state: dict[str, Any]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.until = until
        self.state = state

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class's path and its arguments, as Airflow's triggerer stores them."""
        return f"{__name__}.{type(self).__name__}", {"until": self.until, "state": self.state}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield the state once the moment has come."""
        until = datetime.fromisoformat(self.until)
        while (left := (until - datetime.now(timezone.utc)).total_seconds()) > 0:
            await asyncio.sleep(min(left, _LONGEST_SLEEP))
        yield TriggerEvent(self.state)
