"""The FastAPI app in Airflow's API server. What its routes do lies in the modules beside this one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.core_api.security import GetUserDep
from fastapi import Depends, FastAPI, Query, Request, status
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, RedirectResponse, Response
from starlette.exceptions import HTTPException

from airflow_provider_salesforce_export.exceptions import SalesforceExportError
from airflow_provider_salesforce_export.object_types import resolve_object_type
from airflow_provider_salesforce_export.operators.base import DEFAULT_API_QUOTA_LIMIT
from airflow_provider_salesforce_export.plugin import access, auth, connections, errors, examples
from airflow_provider_salesforce_export.plugin.access import UserOrNone
from airflow_provider_salesforce_export.plugin.addresses import PREFIX, base_url, callback_url
from airflow_provider_salesforce_export.plugin.export import PageResponse, open_page
from airflow_provider_salesforce_export.plugin.pages import SecurityHeaders
from airflow_provider_salesforce_export.plugin.threads import in_thread
from airflow_provider_salesforce_export.version import __version__

_MAX_NUMBER = 2**31 - 1
_TYPES = {".js": "text/javascript", ".svg": "image/svg+xml"}
_STATIC = {path.name: path for path in (Path(__file__).parent / "static").iterdir() if path.suffix in _TYPES}

app = FastAPI(
    title="Salesforce Export",
    description="Log in to Salesforce, log out, and read pages of records.",
    version=__version__,
    openapi_url=None,  # the route below, which asks for a user; the pages of docs load scripts from other hosts
    docs_url=None,
    redoc_url=None,
    responses=examples.ERRORS,
)
app.add_middleware(SecurityHeaders)
app.add_exception_handler(SalesforceExportError, errors.answer_export_error)
app.add_exception_handler(HTTPException, errors.answer_http_error)
app.add_exception_handler(RequestValidationError, errors.answer_invalid_request)

ConnId = Annotated[
    str | None,
    Query(description="The Airflow connection; salesforce_export_default where none is named.", max_length=250),
]
ListedToo = Annotated[
    str | None,
    Query(
        description="A connection to be listed too that is in a secrets backend, or of Airflow's type salesforce.",
        max_length=250,
    ),
]
AccountId = Annotated[str | None, Query(description="Under which account the key is kept.", max_length=250)]
Owner = Annotated[str | None, Query(description="Under which owner the key is kept.", max_length=250)]
ForwardUrl = Annotated[
    str,
    Query(
        description="Where the browser goes in the end, with salesforce=connected, or salesforce=error and message, "
        "in its query: a path here, or below an address of [salesforce_export] allowed_forward_urls.",
        examples=["/plugin/salesforce"],
    ),
]
Number = Query(ge=1, le=_MAX_NUMBER)


@app.get("/auth/login", tags=["auth"], status_code=status.HTTP_302_FOUND, responses=examples.REDIRECT)
async def log_in(
    request: Request,
    user: UserOrNone,
    forward_url: ForwardUrl = "",
    conn_id: ConnId = None,
    account_id: AccountId = None,
    owner: Owner = None,
) -> Response:
    """Log in to Salesforce, in a browser. Needs the right to edit the connection."""
    if user is None:
        here = f"{base_url()}{PREFIX}/auth/login?{request.url.query}"
        return RedirectResponse(get_auth_manager().get_url_login(next_url=here), status.HTTP_307_TEMPORARY_REDIRECT)
    return await in_thread(auth.begin, request, user, forward_url, conn_id, account_id, owner)


@app.get("/auth/callback", tags=["auth"], status_code=status.HTTP_302_FOUND, responses=examples.REDIRECT)
async def come_back(request: Request, user: UserOrNone) -> Response:
    """Come back from Salesforce: the callback URL to register there."""
    return await in_thread(auth.end, request, user)


@app.delete("/auth/", tags=["auth"], responses=examples.DISCONNECTED, dependencies=[Depends(access.deliberate)])
async def disconnect(
    user: GetUserDep, conn_id: ConnId = None, account_id: AccountId = None, owner: Owner = None
) -> dict[str, Any]:
    """
    Revoke the token at Salesforce, and delete the key. Needs the right to delete the connection.

    A request without a bearer token needs the header `X-Requested-With: salesforce-export`.
    """

    def work() -> dict[str, Any]:
        return auth.disconnect(connections.choose(user, "DELETE", conn_id, account_id, owner))

    return await in_thread(work)


@app.get("/export/{object_type}", tags=["export"], responses=examples.PAGE)
async def export(
    request: Request,
    object_type: str,
    user: GetUserDep,
    page: Annotated[int, Number] = 1,
    limit: Annotated[int | None, Number] = None,
    conn_id: ConnId = None,
    account_id: AccountId = None,
    owner: Owner = None,
) -> Response:
    """Read a page of contacts, deals or notes; without a limit, all records. Needs the right to read the connection."""

    def work() -> Response:
        hook = connections.choose(user, "GET", conn_id, account_id, owner)
        hook.api_quota_limit = DEFAULT_API_QUOTA_LIMIT
        request.scope["salesforce_conn_id"] = hook.salesforce_conn_id
        try:
            chunks = open_page(hook, resolve_object_type(object_type), page, limit)
        except SalesforceExportError:
            hook.close()
            raise
        return PageResponse(hook, chunks)

    return await in_thread(work)


@app.get("/connections", tags=["connections"], responses=examples.CONNECTIONS)
async def list_connections(user: GetUserDep, conn_id: ListedToo = None) -> dict[str, Any]:
    """List the connections that the user may read, with the state of their keys. Salesforce is not called."""
    return {"connections": await in_thread(connections.rows, user, conn_id), "callback_url": callback_url()}


@app.post(
    "/connections/{conn_id}/test",
    tags=["connections"],
    responses=examples.TESTED,
    dependencies=[Depends(access.same_site)],
)
async def test_connection(user: GetUserDep, conn_id: str) -> dict[str, Any]:
    """Try a connection. Needs the right to read it."""

    def work() -> dict[str, Any]:
        return connections.test(connections.choose(user, "GET", conn_id))

    return await in_thread(work)


@app.get("/static/{name}", include_in_schema=False)
async def static(user: GetUserDep, name: str) -> Response:
    """Return a part of the page in Airflow's navigation, an ES module, or its icon."""
    if name not in _STATIC:
        raise HTTPException(status.HTTP_404_NOT_FOUND)
    path = _STATIC[name]
    return FileResponse(path, media_type=_TYPES[path.suffix], headers={"Cache-Control": "no-cache"})


@app.get("/openapi.json", include_in_schema=False)
async def openapi(user: GetUserDep) -> dict[str, Any]:
    """Describe the routes."""
    return app.openapi()
