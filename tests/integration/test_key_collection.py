"""Keys in a real MongoDB."""

import threading

import pytest
from pymongo import MongoClient

from airflow_provider_salesforce_export.exceptions import (
    KeyCollectionError,
    KeyCollectionUnavailableError,
    LoginRequiredError,
)
from airflow_provider_salesforce_export.key_collection.collection import Account, KeyCollection
from airflow_provider_salesforce_export.key_collection.stored_token import StoredToken
from airflow_provider_salesforce_export.salesforce.grants import PasswordGrant, RefreshTokenGrant
from airflow_provider_salesforce_export.salesforce.oauth import TokenEndpoint

ACCOUNT = Account("consumer-key", "login.salesforce.com")
TOKEN = {"access_token": "first", "refresh_token": "r", "instance_url": "https://acme.my.salesforce.com"}


@pytest.fixture
def documents(database):
    return database["integrations.salesforce.key"]


def stored(keys, server, grant=None):
    settings = server.settings
    endpoint = TokenEndpoint(server.url, settings.client_id, settings.client_secret)
    account = Account(settings.client_id, server.url.partition("://")[2])
    return StoredToken(keys, account, endpoint, grant or RefreshTokenGrant())


def test_a_key_is_found_as_it_was_saved(keys, documents):
    keys.save(ACCOUNT, TOKEN, replacing=None)

    key = keys.find(ACCOUNT)

    assert (key.token, key.version, key.invalidated) == (TOKEN, 1, False)
    document = documents.find_one()
    assert (document["account_id"], document["owner"]) == ("consumer-key", "login.salesforce.com")
    assert document["updated_at"].tzinfo is not None


def test_accounts_and_owners_have_keys_of_their_own(keys):
    keys.save(ACCOUNT, TOKEN, replacing=None)

    assert keys.find(Account("consumer-key", "test.salesforce.com")) is None
    assert keys.find(Account("other-key", "login.salesforce.com")) is None


def test_a_save_keeps_the_other_fields_of_a_document_of_another_program(keys, documents):
    documents.insert_one(
        {"account_id": "consumer-key", "owner": "login.salesforce.com", "token": TOKEN, "tenant": {"plan": "gold"}}
    )

    keys.save(ACCOUNT, TOKEN | {"access_token": "second"}, replacing=keys.find(ACCOUNT))

    document = documents.find_one()
    assert document["tenant"] == {"plan": "gold"}
    assert (document["token"]["access_token"], document["version"]) == ("second", 1)


def test_a_late_save_does_not_overwrite_a_newer_token(keys):
    old = keys.save(ACCOUNT, TOKEN, replacing=None)
    keys.save(ACCOUNT, TOKEN | {"access_token": "newer"}, replacing=old)

    kept = keys.save(ACCOUNT, TOKEN | {"access_token": "late"}, replacing=old)

    assert kept.token["access_token"] == "newer"
    assert keys.find(ACCOUNT).token["access_token"] == "newer"


def test_a_first_save_does_not_overwrite_a_key_that_came_meanwhile(keys):
    keys.save(ACCOUNT, TOKEN, replacing=None)

    kept = keys.save(ACCOUNT, TOKEN | {"access_token": "late"}, replacing=None)

    assert kept.token["access_token"] == "first"


def test_a_key_that_was_deleted_meanwhile_does_not_come_back(keys):
    old = keys.save(ACCOUNT, TOKEN, replacing=None)
    assert keys.delete(ACCOUNT)

    with pytest.raises(KeyCollectionError, match="deleted while it was renewed"):
        keys.save(ACCOUNT, TOKEN, replacing=old)
    assert not keys.delete(ACCOUNT)


@pytest.mark.parametrize("version", [0, None, "7"])
def test_a_version_that_another_program_wrote_stands_in_nobodys_way(keys, documents, version):
    documents.insert_one(
        {"account_id": "consumer-key", "owner": "login.salesforce.com", "token": TOKEN, "version": version}
    )

    saved = keys.save(ACCOUNT, TOKEN | {"access_token": "second"}, replacing=keys.find(ACCOUNT))

    assert saved.token["access_token"] == "second"
    assert keys.find(ACCOUNT).version == 1


def test_documents_that_rule_out_a_unique_index_do_not_cost_a_renewed_token(keys, documents, caplog):
    documents.insert_many([{"account_id": "twice", "owner": "x"}, {"account_id": "twice", "owner": "x"}])

    keys.save(ACCOUNT, TOKEN, replacing=None)

    assert keys.find(ACCOUNT).token == TOKEN
    assert "has no unique index" in caplog.text


def test_a_login_that_comes_while_a_refused_key_is_deleted_stays(keys):
    refused = keys.save(ACCOUNT, TOKEN, replacing=None)
    keys.invalidate(refused, "expired")
    keys.save(ACCOUNT, TOKEN | {"access_token": "fresh"}, replacing=refused)

    keys.delete_invalidated(refused)

    assert keys.find(ACCOUNT).token["access_token"] == "fresh"


def test_a_document_that_mongodb_refuses_is_not_quoted(database, documents):
    database.create_collection("strict", validator={"$jsonSchema": {"required": ["tenant"]}})

    with pytest.raises(KeyCollectionError, match="Document failed validation") as caught:
        KeyCollection(database["strict"]).save(ACCOUNT, TOKEN | {"access_token": "s3cret"}, replacing=None)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("token", [None, "text", {}, {"access_token": "a"}, {"instance_url": "https://x"}])
def test_a_document_without_a_token_is_named(keys, documents, token):
    documents.insert_one({"account_id": "consumer-key", "owner": "login.salesforce.com", "token": token})

    with pytest.raises(KeyCollectionError, match=r"account consumer-key.*delete it and log in again"):
        keys.find(ACCOUNT)


def test_mongodb_away_is_one_clear_error():
    with MongoClient("mongodb://127.0.0.1:9", serverSelectionTimeoutMS=200) as client:
        keys = KeyCollection(client["any"]["key"])
        with pytest.raises(KeyCollectionUnavailableError, match=r"127\.0\.0\.1:9.*mongo_conn_id"):
            keys.find(ACCOUNT)


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


def test_a_token_that_somebody_else_renewed_is_taken_over(keys, log_in, start_org):
    server = start_org(rotate_refresh_tokens=True)
    log_in(server)
    one, other = stored(keys, server), stored(keys, server)
    old = other.current()
    new, _ = one.renew(one.current())

    assert other.renew(old) == (new, False)
    assert server.org.token_calls == 1


def test_threads_that_share_a_token_renew_it_once(keys, log_in, start_org):
    server = start_org(rotate_refresh_tokens=True)
    log_in(server)
    token = stored(keys, server)
    old = token.current()
    threads = [threading.Thread(target=token.renew, args=(old,)) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert server.org.token_calls == 1


def test_no_key_asks_for_a_login(keys, start_org):
    with pytest.raises(LoginRequiredError, match=r"sandbox-client-id.*integrations\.salesforce\.key.*log in"):
        stored(keys, start_org()).current()


def test_a_refresh_token_that_is_refused_is_marked_and_not_tried_again(keys, log_in, start_org, documents):
    server = start_org()
    account = log_in(server)
    token = stored(keys, server)
    old = token.current()
    server.org.revoke_grants()

    with pytest.raises(LoginRequiredError, match="log in to Salesforce again"):
        token.renew(old)
    assert keys.find(account).invalidated
    assert "invalid_grant" in documents.find_one()["last_error"]

    with pytest.raises(LoginRequiredError, match="refused by Salesforce for good, and has been deleted"):
        stored(keys, server).current()
    assert server.org.token_calls == 1
    assert keys.find(account) is None


def test_the_password_grant_needs_no_key_and_stores_one(keys, start_org):
    server = start_org()
    settings = server.settings
    grant = PasswordGrant(settings.username, settings.password, settings.security_token)

    token = stored(keys, server, grant).current()

    assert keys.find(Account(settings.client_id, server.url.partition("://")[2])).token == token
    assert stored(keys, server, grant).current() == token
    assert server.org.token_calls == 1


def test_the_password_grant_logs_in_again_where_the_stored_key_was_refused(keys, start_org, log_in):
    server = start_org()
    account = log_in(server)
    keys.invalidate(keys.find(account), "expired")
    settings = server.settings

    token = stored(keys, server, PasswordGrant(settings.username, settings.password, settings.security_token)).current()

    assert keys.find(account).token == token
