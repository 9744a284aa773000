"""A StatsD server on a real UDP socket."""

import re
import socket
import threading
from contextlib import contextmanager


@contextmanager
def statsd():
    """Listen as a StatsD server does; yield the settings that lead there, and the metrics that have come."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2**20)  # a full buffer drops what comes
        server.bind(("127.0.0.1", 0))
        server.settimeout(0.1)
        metrics, ended = [], threading.Event()

        def listen():
            while True:
                try:
                    metrics.extend(server.recv(65536).decode().splitlines())
                except TimeoutError:
                    if ended.is_set():  # only now: what was sent before the end may still lie in the socket
                        return

        thread = threading.Thread(target=listen)
        thread.start()
        settings = {
            "AIRFLOW__METRICS__STATSD_ON": "True",
            "AIRFLOW__METRICS__STATSD_HOST": "127.0.0.1",
            "AIRFLOW__METRICS__STATSD_PORT": str(server.getsockname()[1]),
        }
        try:
            yield settings, metrics
        finally:
            ended.set()
            thread.join()


def of_ours(metrics):
    """Return the values of this package's metrics by name and type, in the order in which they came."""
    found = {}
    for metric in metrics:
        match = re.fullmatch(r"airflow\.salesforce_export\.([\w.]+):([\d.]+)\|(c|g|ms)", metric)
        if match:
            found.setdefault((match[1], match[3]), []).append(float(match[2]))
    return found
