"""The page for people whom a login leaves nowhere else to go, and the headers of every answer."""

from __future__ import annotations

import base64
import hashlib
from html import escape
from typing import TYPE_CHECKING

from fastapi.responses import HTMLResponse
from starlette.datastructures import MutableHeaders

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

_STYLE = (
    ":root{color-scheme:light dark}body{font:16px/1.5 system-ui,sans-serif;margin:15vh auto;max-width:40rem;"
    "padding:0 1rem;overflow-wrap:anywhere}h1{font-size:1.25rem}"
)
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()

_HEADERS = {
    "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",  # the address of a callback holds a code
}


def plain_page(message: str, code: int = 200, headers: dict[str, str] | None = None) -> HTMLResponse:
    """
    Return a page that says one thing.

    :param message: Plain text.
    :param code: The HTTP status.
    :param headers: More headers.
    """
    title = "Salesforce"
    return HTMLResponse(
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title><style>{_STYLE}</style></head>"
        f"<body><h1>{title}</h1><p>{escape(message)}</p></body></html>",
        code,
        headers,
    )


class SecurityHeaders:
    """
    Put the headers on every answer that keep a browser from doing more with it than it should.

    :param app: The app behind.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """
        Answer a request.

        :param scope: As ASGI defines it.
        :param receive: As ASGI defines it.
        :param send: As ASGI defines it.
        """

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(_HEADERS)
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        await self._app(scope, receive, send_with_headers)
