"""
The plugin that Airflow finds: routes in its API server, and a page in its navigation.

Every process of Airflow imports this module, tasks too, so the app behind it is imported at its first request.
"""

from __future__ import annotations

import asyncio
from importlib import import_module
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowPlugin

from airflow_provider_salesforce_export.plugin.addresses import PAGE, PREFIX, root_path

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

_STATIC = f"{root_path()}{PREFIX}/static"


class LazyApp:
    """The app, imported when it is first called."""

    def __init__(self) -> None:
        self._app: ASGIApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """
        Answer a request.

        :param scope: As ASGI defines it.
        :param receive: As ASGI defines it.
        :param send: As ASGI defines it.
        """
        if self._app is None:
            # In a thread: the import takes a second, in which the API server would answer nobody.
            self._app = (await asyncio.to_thread(import_module, f"{__name__}.app")).app
        await self._app(scope, receive, send)


class SalesforceExportPlugin(AirflowPlugin):
    """The routes and the page."""

    name = "salesforce_export"
    fastapi_apps: list[Any] = [{"app": LazyApp(), "url_prefix": PREFIX, "name": "Salesforce Export"}]  # noqa: RUF012
    react_apps: list[Any] = [  # noqa: RUF012
        {
            "name": "Salesforce",
            "bundle_url": f"{_STATIC}/page.js",
            "icon": f"{_STATIC}/icon.svg",
            "icon_dark_mode": f"{_STATIC}/icon-dark.svg",
            "destination": "nav",
            "url_route": PAGE.rpartition("/")[2],
        }
    ]
