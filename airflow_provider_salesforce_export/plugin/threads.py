"""
Threads for calls that block: MongoDB, Salesforce, Airflow's database.

They are the plugin's own, so that an org that hangs takes none of those in which the API server answers everything
else.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import ParamSpec, TypeVar

from anyio import CapacityLimiter, to_thread

_MAX_THREADS = 32

P = ParamSpec("P")
T = TypeVar("T")


async def in_thread(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """
    Call a function in a thread, and return what it returns.

    :param function: The function.
    :param args: Its arguments.
    :param kwargs: Its keyword arguments.
    """
    return await to_thread.run_sync(lambda: function(*args, **kwargs), limiter=_limiter())


@cache
def _limiter() -> CapacityLimiter:
    return CapacityLimiter(_MAX_THREADS)
