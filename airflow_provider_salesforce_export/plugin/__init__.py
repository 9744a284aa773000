"""
The plugin that Airflow finds: routes in its API server, and a page in its navigation.

Every process of Airflow imports this module, tasks too, so the app behind it is imported at its first request.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowPlugin

from airflow_provider_salesforce_export.plugin.addresses import PREFIX, root_path

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send


class LazyApp:
    """The app, imported when it is first called."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """
        Answer a request.

        :param scope: As ASGI defines it.
        :param receive: As ASGI defines it.
        :param send: As ASGI defines it.
        """
        from airflow_provider_salesforce_export.plugin.app import app

        await app(scope, receive, send)


class SalesforceExportPlugin(AirflowPlugin):
    """The routes and the page."""

    name = "salesforce_export"
    fastapi_apps: list[Any] = [{"app": LazyApp(), "url_prefix": PREFIX, "name": "Salesforce Export"}]  # noqa: RUF012
    react_apps: list[Any] = [  # noqa: RUF012
        {
            "name": "Salesforce",
            "bundle_url": f"{root_path()}{PREFIX}/page.js",
            "destination": "nav",
            "url_route": "salesforce",
        }
    ]
