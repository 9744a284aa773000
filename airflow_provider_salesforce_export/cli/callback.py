"""
A web server on this machine that takes one answer of a login.

The rules for such callbacks: RFC 8252, "OAuth 2.0 for Native Apps", section 7.3.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import parse_qsl, urlsplit

from airflow_provider_salesforce_export.exceptions import AuthenticationError, ConfigurationError

PATH = "/callback"
_PATIENCE = 15 * 60.0  # seconds; as long as an authorization code is good

Answer = dict[str, str]


class Callback:
    """
    The web server. It listens from the start of its ``with`` block to its end.

    :param port: Its port.
    :raises ConfigurationError: The port is taken, or cannot be used.
    """

    def __init__(self, port: int) -> None:
        try:
            self._server = _Server(("127.0.0.1", port), _Handler)
        except (OSError, OverflowError) as error:
            raise ConfigurationError(f"Port {port} cannot be used ({error}): choose another one with --port.") from None
        self.address = f"http://localhost:{self._server.server_port}{PATH}"

    def __enter__(self) -> Callback:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._server.server_close()

    def wait_for(self, belongs: Callable[[Answer], bool]) -> Answer:
        """
        Return the answer that belongs to the login; other requests are refused, and end nothing.

        :param belongs: Whether an answer does.
        :raises AuthenticationError: None came.
        """
        self._server.belongs = belongs
        deadline = time.monotonic() + _PATIENCE
        while self._server.answer is None:
            self._server.timeout = deadline - time.monotonic()
            if self._server.timeout <= 0:
                raise AuthenticationError(f"Nobody has logged in for {_PATIENCE / 60:.0f} minutes: begin again.")
            self._server.handle_request()
        return self._server.answer


class _Server(HTTPServer):
    belongs: Callable[[Answer], bool]
    answer: Answer | None = None


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = 10  # seconds for a request: one connection that says nothing must not keep the answer out

    def do_GET(self) -> None:
        """Take an answer."""
        address = urlsplit(self.path)
        answer = dict(parse_qsl(address.query))
        if address.path != PATH or not self.server.belongs(answer):
            self._reply(404, "This is not the answer to the login that is under way.")
            return
        self.server.answer = answer
        self._reply(200, "You can close this page: the terminal says how the login went.")

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing: the address holds the code."""

    def _reply(self, status: int, text: str) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
