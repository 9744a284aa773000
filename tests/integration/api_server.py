"""Airflow's real API server on a socket, with the Simple auth manager's four kinds of user, and browsers for it."""

import json
import os
import re
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import requests

from airflow_provider_salesforce_export.sandbox.server import listen, url_of
from tests.patience import PATIENCE

PREFIX = "/v1/integrations/salesforce"
USERS = ("viewer", "user", "op", "admin")
DELETE_HEADER = {"X-Requested-With": "salesforce-export"}


@contextmanager
def running_api_server():
    """Run it in a thread of this process, as connections and orgs of the tests are; yield its URL."""
    import uvicorn

    listener = listen("127.0.0.1", 0)
    url = url_of(listener)
    passwords = Path(os.environ["AIRFLOW_HOME"], "passwords.json")
    passwords.write_text(json.dumps({user: user for user in USERS}))
    settings = {
        "_AIRFLOW_PROCESS_CONTEXT": "server",
        "AIRFLOW__API__BASE_URL": url,
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__SECRET_KEY": "of-all-api-servers-of-the-tests",
        "AIRFLOW__API_AUTH__JWT_SECRET": "of-the-sessions-of-the-tests-0123456789-0123456789-0123456789-01",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": ",".join(f"{user}:{user}" for user in USERS),
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(passwords),
    }
    before = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    try:
        from airflow.api_fastapi.app import create_app

        server = uvicorn.Server(uvicorn.Config(create_app("core"), log_level="critical", lifespan="off", ws="none"))
        thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
        thread.start()
        deadline = time.monotonic() + 60
        while not server.started:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        yield url
        server.should_exit = True
        thread.join()
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


class Browser(requests.Session):
    """A browser in which somebody is logged in to Airflow, or nobody; it follows no redirect by itself."""

    def __init__(self, airflow, user=None):
        super().__init__()
        self.airflow = airflow
        if user:
            form = {"username": user, "password": user}
            token = requests.post(f"{airflow}/auth/token", json=form, timeout=60).json()["access_token"]
            self.cookies.set("_token", token, domain="127.0.0.1", path="/")

    def request(self, method, url, **options):
        url = url if "://" in url else f"{self.airflow}{PREFIX}/{url}"
        return super().request(method, url, **options | {"allow_redirects": False, "timeout": PATIENCE})

    def begin(self, forward_url="/plugin/salesforce", **params):
        """Begin a login; return where in Salesforce the browser is sent."""
        answer = self.get("auth/login", params={"forward_url": forward_url, **params})
        assert answer.status_code == 302, answer.text
        return answer.headers["Location"]

    def consent(self, address, decision="allow"):
        """Answer Salesforce's consent page; return the callback to which the browser is sent."""
        page = requests.get(address, timeout=60)
        ticket = re.search(r'name="ticket" value="([^"]+)"', page.text)
        assert ticket, page.text
        form = {"ticket": ticket[1], "decision": decision}
        answer = requests.post(address.partition("?")[0], data=form, allow_redirects=False, timeout=60)
        return answer.headers["Location"]

    def log_in(self, forward_url="/plugin/salesforce", decision="allow", **params):
        """Go all the way; return the last answer."""
        return self.get(self.consent(self.begin(forward_url, **params), decision))


def outcome(answer):
    """Return where a login ended, and its result."""
    assert answer.status_code == 302, answer.text
    parts = urlsplit(answer.headers["Location"])
    return parts._replace(query="").geturl(), dict(parse_qsl(parts.query))


def parameters(address):
    return dict(parse_qsl(urlsplit(address).query))
