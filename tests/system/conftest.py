"""What tests of a running Airflow share: its REST API, and patience."""

import time

import requests


class Airflow:
    """Airflow's REST API."""

    def __init__(self, url):
        self.url = url
        self.session = requests.Session()
        self.session.headers["Authorization"] = f"Bearer {requests.get(f'{url}/auth/token').json()['access_token']}"

    def get(self, path, **parameters):
        return self._checked(self.session.get(f"{self.url}/api/v2/{path}", params=parameters))

    def post(self, path, body):
        return self._checked(self.session.post(f"{self.url}/api/v2/{path}", json=body))

    @staticmethod
    def _checked(response):
        assert response.ok, response.text
        return response.json()


def wait_until(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.5)
