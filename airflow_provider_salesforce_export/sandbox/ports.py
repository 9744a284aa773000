"""Ports for servers that take a while to start."""

from __future__ import annotations

import random
import socket

_PORTS = range(20_000, 32_000)
"""Below those that a system gives to connections, from 32,768 on: one of these is taken at any moment."""
_TRIES = 100


def free_port(wanted: int | None = None) -> int:
    """
    Return the port that is wanted, or any free one where it is taken.

    :param wanted: The port; None for any free one.
    :raises OSError: There is none.
    """
    for port in (*([wanted] if wanted else []), *random.sample(_PORTS, _TRIES)):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server will: TIME_WAIT is no owner
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise OSError("no free port")
