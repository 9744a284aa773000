"""Logouts that cross a renewal: no token stays good that nobody has."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from airflow_provider_salesforce_export import SalesforceExportHook
from airflow_provider_salesforce_export.exceptions import LoginRequiredError
from airflow_provider_salesforce_export.hooks.login import log_out
from airflow_provider_salesforce_export.key_collection.lease import Lease
from airflow_provider_salesforce_export.salesforce.oauth import TokenEndpoint


@pytest.fixture
def server(start_org, connections):
    server = start_org(rotate_refresh_tokens=True)
    connections(server)
    return server


@pytest.fixture
def hook(server):
    with SalesforceExportHook() as hook:
        yield hook


@pytest.fixture
def worker(server):
    """Another process's hook, with the same key."""
    with SalesforceExportHook() as worker:
        yield worker


@pytest.fixture
def logged_out_before_the_save(hook, worker, monkeypatch):
    """Log out while a worker has a new token, and has not saved it; return that token and how the renewal ends."""

    def logged_out_before_the_save():
        answered, may_save, tokens = threading.Event(), threading.Event(), []

        def save(lease, token, save=Lease.save):
            tokens.append(token)
            answered.set()
            assert may_save.wait(60)
            return save(lease, token)

        monkeypatch.setattr(Lease, "save", save)
        with ThreadPoolExecutor(1) as pool:
            renewal = pool.submit(worker.renew)
            assert answered.wait(60)
            assert log_out(hook)
            may_save.set()
        return tokens[0], renewal

    return logged_out_before_the_save


def test_a_token_that_comes_too_late_to_be_stored_is_revoked(logged_out_before_the_save, server, hook):
    token, renewal = logged_out_before_the_save()

    with pytest.raises(LoginRequiredError, match="is not there: log in"):
        renewal.result()
    assert not server.org.oauth.sessions.find(token["access_token"])
    assert not server.org.oauth.sessions.revoke(token["refresh_token"])
    assert hook.keys.find(hook.account) is None


def test_a_token_that_could_not_be_revoked_is_told_in_the_log(logged_out_before_the_save, server, caplog):
    server.org.fail_next(times=2, status=503, path_pattern="/oauth2/revoke")

    token, renewal = logged_out_before_the_save()

    with pytest.raises(LoginRequiredError):
        renewal.result()
    assert "stays good until a Salesforce admin revokes it" in caplog.text
    assert server.org.oauth.sessions.revoke(token["refresh_token"])


def test_a_token_that_was_saved_during_the_logout_is_revoked_too(server, hook, worker, monkeypatch):
    renewed = []

    def revoke(endpoint, token, revoke=TokenEndpoint.revoke):
        if not renewed:
            worker.renew()
            renewed.append(worker.tokens.current())
        return revoke(endpoint, token)

    monkeypatch.setattr(TokenEndpoint, "revoke", revoke)

    assert log_out(hook).outcome == "revoked"

    assert not server.org.oauth.sessions.revoke(renewed[0]["refresh_token"])
    assert hook.keys.find(hook.account) is None
