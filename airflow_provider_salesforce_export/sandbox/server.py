"""Runs an org behind uvicorn, on a thread of its own."""

from __future__ import annotations

import socket
import threading
import time
from typing import TYPE_CHECKING

import uvicorn

from airflow_provider_salesforce_export.sandbox.app import create_app
from airflow_provider_salesforce_export.sandbox.org import SandboxOrg
from airflow_provider_salesforce_export.sandbox.settings import SandboxSettings

if TYPE_CHECKING:
    from types import TracebackType

_START_TIMEOUT = 30.0
_BACKLOG = 2048


class SandboxServer:
    """
    A running org, as a context manager.

    ::

        with SandboxServer(SandboxSettings(contacts=500)) as server:
            requests.get(server.url)

    :param settings: Sizes, behaviour, credentials, address.
    """

    def __init__(self, settings: SandboxSettings | None = None) -> None:
        self.settings = settings or SandboxSettings()
        self.url = ""
        self._org: SandboxOrg | None = None
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None

    @property
    def org(self) -> SandboxOrg:
        """
        The org that answers.

        :raises RuntimeError: The server has not been started.
        """
        if self._org is None:
            raise RuntimeError("The sandbox org is not running: use SandboxServer as a context manager.")
        return self._org

    def __enter__(self) -> SandboxServer:
        self._org = SandboxOrg(self.settings)
        try:
            listener = listen(self.settings.host, self.settings.port)
        except OSError:
            self._org.close()
            raise
        self.url = self._org.url = url_of(listener)
        self._server = uvicorn.Server(config(self._org))
        self._thread = threading.Thread(
            target=self._server.run, args=([listener],), name="salesforce-sandbox", daemon=True
        )
        self._thread.start()
        self._wait_until_started()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._server is not None and self._thread is not None:
            self._server.should_exit = True
            self._thread.join()
        self.org.close()

    def _wait_until_started(self) -> None:
        deadline = time.monotonic() + _START_TIMEOUT
        while self._server is not None and not self._server.started:
            if time.monotonic() > deadline or self._thread is None or not self._thread.is_alive():
                raise RuntimeError("The sandbox org did not start.")
            time.sleep(0.005)


def listen(host: str, port: int) -> socket.socket:
    """
    Return a socket that listens.

    :param host: Address.
    :param port: Port; 0 for any free one.
    :raises OSError: The port is taken.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(_BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


def url_of(listener: socket.socket) -> str:
    """
    Return the URL at which a listening socket can be reached from this machine.

    :param listener: The socket.
    """
    host, port = listener.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def config(org: SandboxOrg, log_level: str = "critical") -> uvicorn.Config:
    """
    Return how uvicorn runs an org.

    :param org: The org.
    :param log_level: uvicorn's log level; by default silent, also about replies that are cut short on purpose.
    """
    return uvicorn.Config(
        create_app(org),
        log_level=log_level,
        lifespan="off",
        ws="none",
        backlog=_BACKLOG,
        timeout_keep_alive=60,
        date_header=False,  # the org has a clock of its own
        timeout_graceful_shutdown=3,
        # Salesforce takes URLs of 16,384 bytes, and there are headers besides.
        h11_max_incomplete_event_size=65_536,
    )
