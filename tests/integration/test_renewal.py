"""One renewal of the token, however many workers meet that it has expired."""

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone

import pytest

from airflow_provider_salesforce_export.exceptions import (
    AuthenticationError,
    ForeignInstanceError,
    KeyCollectionError,
    LoginRequiredError,
    SalesforceUnavailableError,
)
from airflow_provider_salesforce_export.key_collection import stored_token
from airflow_provider_salesforce_export.key_collection.collection import KeyCollection
from airflow_provider_salesforce_export.key_collection.key import Account
from airflow_provider_salesforce_export.key_collection.stored_token import StoredToken
from airflow_provider_salesforce_export.salesforce.grants import PasswordGrant, RefreshTokenGrant
from airflow_provider_salesforce_export.salesforce.oauth import TokenEndpoint
from airflow_provider_salesforce_export.sandbox.errors import OAuthError
from tests.patience import PATIENCE

TOKEN_CALLS = "/services/oauth2/token"
FOREIGN_REPLY = {"access_token": "a", "instance_url": "https://acme.example"}


def account_of(server):
    return Account(server.settings.client_id, server.url.partition("://")[2])


def stored(keys, server, grant=None, *, timeout=PATIENCE):
    settings = server.settings
    endpoint = TokenEndpoint(server.url, settings.client_id, settings.client_secret, timeout)
    return StoredToken(keys, account_of(server), endpoint, grant or RefreshTokenGrant())


def password_grant(server, **wrong):
    settings = server.settings
    return PasswordGrant(settings.username, wrong.get("password", settings.password), settings.security_token)


def at_once(calls):
    """Make all calls at the same time; return what each returned or raised."""
    with ThreadPoolExecutor(len(calls)) as pool:
        futures = [pool.submit(call) for call in calls]
    return [future.exception() or future.result() for future in futures]


def test_a_renewed_token_is_saved_before_it_is_used(keys, log_in, start_org):
    server = start_org(rotate_refresh_tokens=True)
    account = log_in(server)
    token = stored(keys, server)
    old = token.current()

    new, is_new = token.renew(old)

    assert is_new
    assert new["access_token"] != old["access_token"]
    assert new["refresh_token"] != old["refresh_token"]
    assert keys.find(account).token == new == token.current()


def test_a_reply_without_a_refresh_token_keeps_the_old_one(keys, log_in, start_org):
    server = start_org(rotate_refresh_tokens=False)
    account = log_in(server)
    token = stored(keys, server)
    old = token.current()

    for _ in range(2):
        token.renew(token.current())

    assert keys.find(account).token["refresh_token"] == old["refresh_token"]
    assert server.org.token_calls == 2


def test_a_token_that_somebody_else_renewed_is_taken_over(keys, log_in, start_org):
    server = start_org(rotate_refresh_tokens=True)
    log_in(server)
    one, other = stored(keys, server), stored(keys, server)
    old = other.current()
    new, _ = one.renew(one.current())

    assert other.renew(old) == (new, False)
    assert server.org.token_calls == 1


def test_the_storm(keys, log_in, start_org, start_worker, token_gate):
    """64 threads in 8 processes meet an expired token at once: one call of the token endpoint, and a page for each."""
    server = start_org(contacts=10, rotate_refresh_tokens=True)
    account = log_in(server)
    workers = [start_worker(server, threads=8) for _ in range(8)]
    for worker in workers:
        worker.wait_for("ready")
    server.org.expire_tokens()
    with token_gate(server) as gate:
        for worker in workers:
            worker.go()
        gate.wait_until(lambda: sum(call.status == 401 for call in server.org.calls) == 64)

    pages = [worker.wait_for("records")["records"] for worker in workers for _ in range(8)]

    assert pages == [5] * 64
    assert server.org.token_calls == 1
    assert keys.find(account).version == 2
    assert server.org.oauth.sessions.find(keys.find(account).token["access_token"])


def test_workers_that_find_no_key_obtain_one_together(keys, start_org, documents):
    server = start_org()

    tokens = at_once([stored(keys, server, password_grant(server)).current for _ in range(16)])

    assert len({token["access_token"] for token in tokens}) == 1
    assert server.org.token_calls == 1
    assert documents.count_documents({}) == 1
    assert stored(keys, server, password_grant(server)).current() == tokens[0]


def test_no_key_asks_for_a_login(keys, start_org):
    server = start_org()

    with pytest.raises(LoginRequiredError, match=rf"sandbox-client-id.*salesforce\.key.*log in.*{server.url}"):
        stored(keys, server).current()


def test_a_refresh_token_that_is_refused_is_marked_and_nobody_tries_it_again(keys, log_in, start_org):
    server = start_org()
    account = log_in(server)
    tokens = [stored(keys, server) for _ in range(16)]
    old = tokens[0].current()
    server.org.revoke_grants()

    errors = at_once([lambda token=token: token.renew(old) for token in tokens])

    assert {type(error) for error in errors} == {LoginRequiredError}
    assert sum("invalid_grant" in str(error) for error in errors) >= 2  # who asked, and who read the mark
    assert not any("never finished" in str(error) for error in errors)
    assert server.org.token_calls == 1
    assert keys.find(account) is None
    with pytest.raises(LoginRequiredError, match="is not there: log in"):
        stored(keys, server).current()


def test_a_key_that_was_marked_before_is_deleted_and_a_login_asked_for(keys, log_in, start_org, documents):
    server = start_org()
    log_in(server)
    documents.update_one({}, {"$set": {"token_invalidated": True, "last_error": "expired in May"}})

    with pytest.raises(LoginRequiredError, match=r"refused by Salesforce for good.*deleted.*expired in May.*log in"):
        stored(keys, server).current()

    assert documents.count_documents({}) == 0
    assert server.org.token_calls == 0


def test_a_stored_token_is_sent_to_no_foreign_host(keys, log_in, start_org, documents):
    server = start_org()
    log_in(server)
    documents.update_one({}, {"$set": {"token.instance_url": "https://salesforce.com.evil.example"}})

    with pytest.raises(KeyCollectionError, match=r"sandbox-client-id.*instance that is not Salesforce's.*not used"):
        stored(keys, server).current()


def test_the_mark_is_redacted(keys, log_in, start_org, documents, monkeypatch):
    server = start_org()
    refresh_token = keys.find(log_in(server)).token["refresh_token"]
    token = stored(keys, server)
    old = token.current()

    def refuse(form, url):
        raise OAuthError("invalid_grant", f"not {form['refresh_token']} with {form['client_secret']}")

    monkeypatch.setattr(server.org.oauth, "token", refuse)

    with pytest.raises(LoginRequiredError, match=r"not \*\*\* with \*\*\*") as caught:
        token.renew(old)
    shown = str(caught.value) + str(documents.find_one())
    assert refresh_token not in shown
    assert server.settings.client_secret not in shown


def test_the_password_grant_logs_in_again_where_the_stored_key_was_refused(keys, start_org, log_in, documents):
    server = start_org()
    account = log_in(server)
    documents.update_one({}, {"$set": {"token_invalidated": True}})

    token = stored(keys, server, password_grant(server)).current()

    assert keys.find(account).token == token


def test_a_wrong_password_is_tried_once_by_those_who_wait_together(keys, start_org, token_gate, caplog):
    caplog.set_level("INFO")
    server = start_org()
    grant = password_grant(server, password="wrong")

    with token_gate(server) as gate, ThreadPoolExecutor(1) as pool:
        others = pool.submit(at_once, [stored(keys, server, grant).current for _ in range(8)])
        gate.wait_until(lambda: len({record.thread for record in caplog.records if "waiting" in record.message}) == 7)
        gate.open()
        errors = others.result()

    assert {type(error) for error in errors} == {AuthenticationError}
    assert all("invalid_grant" in str(error) for error in errors)
    assert server.org.token_calls == 1


@pytest.mark.parametrize(
    ("status", "body", "kind", "may_be_lost"),
    [
        (503, "<html>maintenance</html>", SalesforceUnavailableError, True),
        (400, {"error": "invalid_client", "error_description": "wrong secret"}, AuthenticationError, False),
        (200, FOREIGN_REPLY, ForeignInstanceError, True),
    ],
)
def test_a_failed_renewal_leaves_the_way_free(keys, log_in, start_org, documents, status, body, kind, may_be_lost):
    server = start_org(rotate_refresh_tokens=True)
    log_in(server)
    token, other = stored(keys, server), stored(keys, server)
    old = token.current()
    server.org.fail_next(1, status, body, path_pattern=TOKEN_CALLS)

    with pytest.raises(kind):
        token.renew(old)
    document = documents.find_one()
    assert ("lease" in document) == may_be_lost
    assert any(said in document["last_error"] for said in ("503", "wrong secret", "acme.example"))

    assert other.renew(old).is_new
    assert not {"lease", "last_error"} & documents.find_one().keys()


def test_a_rotated_token_for_a_foreign_host_is_not_kept_and_the_next_error_says_why(
    keys, log_in, start_org, documents, monkeypatch
):
    server = start_org(rotate_refresh_tokens=True)
    account = log_in(server)
    token = stored(keys, server)
    old = token.current()
    answer = server.org.oauth.token
    with monkeypatch.context() as proxy:
        proxy.setattr(server.org.oauth, "token", lambda form, url: answer(form, url) | FOREIGN_REPLY)
        with pytest.raises(ForeignInstanceError, match=r"acme\.example.*neither used nor stored"):
            token.renew(old)
    assert keys.find(account).token == old
    began = documents.find_one()["lease"]["taken_at"]

    with pytest.raises(LoginRequiredError, match=rf"began at {began:%Y-%m-%d %H:%M:%S} UTC.*reply was .*not believed"):
        token.renew(old)


@pytest.mark.parametrize("foreign", [{}, {"tenant": "gold"}])
def test_a_first_token_that_does_not_come_leaves_nothing_behind(keys, start_org, documents, foreign):
    server = start_org()
    account = account_of(server)
    if foreign:
        documents.insert_one({"account_id": account.account_id, "owner": account.owner} | foreign)
    server.org.fail_next(1, 503, path_pattern=TOKEN_CALLS)
    token = stored(keys, server, password_grant(server))

    with pytest.raises(SalesforceUnavailableError):
        token.current()
    assert [document["tenant"] for document in documents.find()] == list(foreign.values())

    assert token.current() == keys.find(account).token


def test_a_holder_that_is_too_slow_uses_what_another_has_saved(keys, log_in, start_org, token_gate, documents):
    server = start_org()
    account = log_in(server)
    slow, other = stored(keys, server), stored(keys, server)
    slow._lease_seconds = 0.5
    old = other.current()
    with token_gate(server, calls=1) as gate, ThreadPoolExecutor(1) as pool:
        late = pool.submit(slow.renew, old)
        gate.wait_until(lambda: gate.waiting == 1)
        newer = other.renew(old)
        gate.open()

        assert newer.is_new
        assert late.result() == (newer.token, False)
    assert keys.find(account).token == newer.token
    assert server.org.token_calls == 2


def test_a_refusal_that_comes_too_late_does_not_mark_the_newer_token(keys, log_in, start_org, token_gate):
    server = start_org()
    account = log_in(server)
    slow, other = stored(keys, server), stored(keys, server)
    slow._lease_seconds = 0.5
    old = other.current()
    with token_gate(server, calls=1, then=OAuthError("invalid_grant", "late")) as gate, ThreadPoolExecutor(1) as pool:
        late = pool.submit(slow.renew, old)
        gate.wait_until(lambda: gate.waiting == 1)
        newer = other.renew(old)
        gate.open()

        assert late.result() == (newer.token, False)
    assert not keys.find(account).invalidated


def test_a_holder_that_was_held_up_before_its_call_starts_over(keys, log_in, start_org, documents, monkeypatch, caplog):
    server = start_org(rotate_refresh_tokens=True)
    log_in(server)
    token = stored(keys, server)
    delays = iter([1.5])

    def lease(keys, key, seconds, take=KeyCollection.lease):
        taken = take(keys, key, seconds)
        time.sleep(next(delays, 0))
        return taken

    monkeypatch.setattr(stored_token, "START_SECONDS", 1)
    monkeypatch.setattr(KeyCollection, "lease", lease)

    assert token.renew(token.current()).is_new

    assert "held up before it called Salesforce" in caplog.text
    assert "never finished" not in caplog.text
    assert not {"lease", "last_error"} & documents.find_one().keys()
    assert server.org.token_calls == 1


def test_waiting_ends(keys, log_in, start_org):
    server = start_org()
    account = log_in(server)
    assert keys.lease(keys.find(account), 60)
    token = stored(keys, server)
    token._patience = 0.3

    with pytest.raises(KeyCollectionError, match=r"sandbox-client-id.*renewed by other workers, without success"):
        token.renew(token.current())
    assert server.org.token_calls == 0


def test_the_lease_outlasts_the_token_call(keys, start_org):
    server = start_org()

    token = stored(keys, server, timeout=25.0)

    assert token._lease_seconds > stored_token.START_SECONDS + 2 * 25
    assert token._patience >= 2 * token._lease_seconds


def test_the_clocks_of_workers_do_not_count(keys, log_in, start_org, start_worker, token_gate, documents):
    server = start_org(contacts=10, rotate_refresh_tokens=True)
    log_in(server)
    fast, faster = start_worker(server, clock=3600), start_worker(server, clock=7200 + 60)
    fast.wait_for("ready")
    faster.wait_for("ready")
    server.org.expire_tokens()
    with token_gate(server) as gate:
        fast.go()
        gate.wait_until(lambda: gate.waiting == 1)
        faster.go()
        faster.wait_for_log("waiting")
        lease = documents.find_one()["lease"]
        assert abs(lease["taken_at"] - datetime.now(timezone.utc)) < timedelta(minutes=1)
        assert lease["until"] - lease["taken_at"] == timedelta(seconds=2 * PATIENCE + 30)

    assert fast.wait_for("records")["records"] == faster.wait_for("records")["records"] == 5
    assert server.org.token_calls == 1


def test_threads_that_share_a_token_renew_it_once(keys, log_in, start_org):
    server = start_org(rotate_refresh_tokens=True)
    log_in(server)
    token = stored(keys, server)
    old = token.current()

    renewals = at_once([lambda: token.renew(old)] * 16)

    assert sum(is_new for _, is_new in renewals) == 1
    assert server.org.token_calls == 1
