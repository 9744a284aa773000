"""Renewals during which a worker or MongoDB dies."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from pymongo import MongoClient

from airflow_provider_salesforce_export.exceptions import KeyCollectionUnavailableError, LoginRequiredError
from airflow_provider_salesforce_export.key_collection import lease
from airflow_provider_salesforce_export.key_collection.collection import KeyCollection
from airflow_provider_salesforce_export.key_collection.encryption import KeyEncryption
from airflow_provider_salesforce_export.key_collection.key import Account
from airflow_provider_salesforce_export.key_collection.stored_token import StoredToken
from airflow_provider_salesforce_export.salesforce.grants import RefreshTokenGrant
from airflow_provider_salesforce_export.salesforce.oauth import TokenEndpoint
from airflow_provider_salesforce_export.sandbox.mongod import Mongod


@pytest.fixture
def server(start_org):
    return start_org(contacts=10, rotate_refresh_tokens=True)


@pytest.fixture
def stopped_worker(server, log_in, start_worker):
    """Return a worker that has stopped at some place of a renewal, under a lease of two seconds."""

    def stopped_worker(place):
        log_in(server)
        worker = start_worker(server, stop=place, lease_seconds=2, start_seconds=1, clock=3600)
        worker.wait_for("ready")
        server.org.expire_tokens()
        worker.go()
        worker.wait_for("stopped")
        return worker

    return stopped_worker


@pytest.fixture
def killed_worker(stopped_worker):
    """Return a worker that was killed at some place of a renewal, under a lease of two seconds."""
    return lambda place: stopped_worker(place).kill()


def account_of(server):
    return Account(server.settings.client_id, server.url.partition("://")[2])


def stored(keys, server):
    settings = server.settings
    endpoint = TokenEndpoint(server.url, settings.client_id, settings.client_secret, timeout=60.0)
    return StoredToken(keys, account_of(server), endpoint, RefreshTokenGrant())


def renew(keys, server):
    token = stored(keys, server)
    return token.renew(token.current())


def test_a_worker_killed_before_the_token_call_holds_the_others_up_until_its_lease_ends(
    killed_worker, server, keys, documents, start_worker
):
    killed_worker("before the call")
    lease_of_the_dead = documents.find_one()["lease"]

    start_worker(server, clock=-3600).wait_for("ready")

    assert server.org.token_calls == 1
    document = documents.find_one()
    assert document["updated_at"] >= lease_of_the_dead["until"]
    assert not {"lease", "last_error"} & document.keys()
    assert server.org.oauth.sessions.find(keys.find(account_of(server)).token["access_token"])


def test_a_worker_killed_between_call_and_save_costs_a_login_and_the_error_says_why(
    killed_worker, server, keys, documents
):
    killed_worker("after the call")
    began = documents.find_one()["lease"]["taken_at"]

    with pytest.raises(LoginRequiredError, match=rf"began at {began:%Y-%m-%d %H:%M:%S} UTC was never finished"):
        renew(keys, server)
    with pytest.raises(LoginRequiredError, match=r"has been deleted .*never finished.*log in"):
        renew(keys, server)

    assert server.org.token_calls == 2


def test_a_worker_killed_after_the_save_harms_nobody(killed_worker, server, keys, documents):
    killed_worker("after the save")

    token = stored(keys, server).current()

    assert server.org.oauth.sessions.find(token["access_token"])
    assert server.org.token_calls == 1
    assert documents.find_one()["version"] == 2


def test_a_worker_that_was_paused_before_the_token_call_leaves_it_to_the_one_that_took_its_lease(
    stopped_worker, server, keys, documents
):
    paused = stopped_worker("after the lease")
    new, is_new = renew(keys, server)

    paused.resume()

    assert paused.wait_for("records")["records"] == 5
    assert is_new
    assert server.org.token_calls == 1
    assert server.org.oauth.sessions.find(new["access_token"])
    assert not {"lease", "last_error"} & documents.find_one().keys()


def test_two_killed_workers_are_remembered_from_the_first_on(keys, log_in, server):
    account = log_in(server)
    first = keys.lease(keys.find(account), 0)
    second = keys.lease(keys.find(account), 0)
    third = keys.lease(keys.find(account), 0)

    assert first.unfinished_since is None
    assert second.unfinished_since == third.unfinished_since


@pytest.fixture
def mongod():
    with Mongod(replica_set="rs0") as mongod:
        yield mongod


@contextmanager
def keys_in(mongod, server, *, seconds):
    """Open a key collection in the MongoDB of the test's own, which may be away for some seconds."""
    with MongoClient(mongod.uri, replicaSet="rs0", serverSelectionTimeoutMS=1000 * seconds) as mongo:
        documents = mongo["keys"]["integrations.salesforce.key"]
        yield KeyCollection(documents, KeyEncryption([], server.settings.client_secret))


@pytest.fixture
def own_keys(mongod, server):
    """Return a key collection in the MongoDB of the test's own, with a key in it."""
    with keys_in(mongod, server, seconds=2) as keys:
        keys.save(account_of(server), server.org.issue_token())
        yield keys


@contextmanager
def answered_while_mongodb_is(interrupted, token, server, token_gate):
    """Renew a token; interrupt MongoDB before Salesforce answers. Yield the renewal, which cannot be saved for now."""
    old = token.current()
    with ThreadPoolExecutor(1) as pool, token_gate(server) as gate:
        renewal = pool.submit(token.renew, old)
        gate.wait_until(lambda: gate.waiting == 1)
        interrupted()
        gate.open()
        gate.wait_until(lambda: any(call.path.endswith("/token") for call in server.org.calls))
        yield renewal


def step_down(mongod):
    with MongoClient(mongod.uri, directConnection=True) as mongo:
        mongo.admin.command("replSetStepDown", 600, secondaryCatchUpPeriodSecs=0, force=True)


def stand_for_election(mongod):
    with MongoClient(mongod.uri, directConnection=True) as mongo:
        mongo.admin.command("replSetFreeze", 0)


@pytest.mark.parametrize(
    ("interrupt", "mend"),
    [(Mongod.kill, Mongod.start), (step_down, stand_for_election)],
    ids=["killed", "stepped down"],
)
def test_a_token_that_comes_while_mongodb_is_away_is_saved_when_it_is_back(
    interrupt, mend, mongod, own_keys, server, token_gate, monkeypatch
):
    monkeypatch.setattr(lease, "SAVE_SECONDS", 120)  # MongoDB starts slowly on a busy machine
    token = stored(own_keys, server)
    with answered_while_mongodb_is(lambda: interrupt(mongod), token, server, token_gate) as renewal:
        assert not renewal.done()
        mend(mongod)

        new = renewal.result()

    assert new.is_new
    assert own_keys.find(account_of(server)).token == new.token
    assert server.org.oauth.sessions.find(new.token["access_token"])
    assert server.org.token_calls == 1


def test_a_token_that_cannot_be_saved_is_not_used(mongod, own_keys, server, token_gate, monkeypatch):
    monkeypatch.setattr(lease, "SAVE_SECONDS", 1)
    token = stored(own_keys, server)
    token._lease_seconds = 1
    with (
        answered_while_mongodb_is(mongod.kill, token, server, token_gate) as renewal,
        pytest.raises(KeyCollectionUnavailableError, match=r"not be saved in 1 s and was not used.*mongo_conn_id"),
    ):
        renewal.result()
    mongod.start()

    with keys_in(mongod, server, seconds=120) as keys, pytest.raises(LoginRequiredError, match="never finished"):
        renew(keys, server)
    assert server.org.token_calls == 2
