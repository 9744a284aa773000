"""Keys in a real MongoDB."""

import json
from datetime import datetime, timedelta, timezone

import pytest
from cryptography.fernet import Fernet
from pymongo import MongoClient

from airflow_provider_salesforce_export.exceptions import (
    KeyCollectionError,
    KeyCollectionUnavailableError,
    KeyDecryptionError,
)
from airflow_provider_salesforce_export.hooks.salesforce_export import SalesforceExportHook
from airflow_provider_salesforce_export.key_collection.collection import KeyCollection
from airflow_provider_salesforce_export.key_collection.encryption import KeyEncryption
from airflow_provider_salesforce_export.key_collection.key import Account, KeyStatus
from airflow_provider_salesforce_export.key_collection.lease import Lease

ACCOUNT = Account("consumer-key", "login.salesforce.com")
IDENTITY = {"account_id": "consumer-key", "owner": "login.salesforce.com"}
TOKEN = {
    "access_token": "first-access",
    "refresh_token": "first-refresh",
    "instance_url": "https://acme.my.salesforce.com",
    "issued_at": "1764547200000",
}
SECOND = TOKEN | {"access_token": "second-access", "refresh_token": "second-refresh"}
OF_THE_SERVICE_BEFORE = IDENTITY | {
    "token": TOKEN | {"signature": "s1gned", "connected_by": {"name": "Ada", "at": datetime(2026, 1, 1)}},
    "token_invalidated": False,
    "tenant": {"plan": "gold"},
    "tags": ["a", 1, None],
    "createdAt": datetime(2026, 1, 1),
}
OLD_KEY, NEW_KEY = Fernet.generate_key().decode(), Fernet.generate_key().decode()


@pytest.fixture
def keys_under(documents):
    """Return the collection as a worker with these encryption keys has it."""

    def keys_under(*encryption_keys, secret=""):
        return KeyCollection(documents, KeyEncryption(encryption_keys, secret))

    return keys_under


def lease(keys, seconds=60):
    return keys.lease(keys.find(ACCOUNT), seconds)


def secrets_in(document):
    text = json.dumps(document, default=str)
    return [secret for secret in ("first-access", "first-refresh", "second-", "s1gned", "Ada") if secret in text]


def test_a_key_is_found_as_it_was_saved_and_lies_there_encrypted(keys, documents):
    keys.save(ACCOUNT, TOKEN)

    key = keys.find(ACCOUNT)

    assert (key.token, key.version, key.invalidated) == (TOKEN, 1, False)
    document = documents.find_one()
    assert (document["account_id"], document["owner"]) == ("consumer-key", "login.salesforce.com")
    assert document["token"]["instance_url"] == "https://acme.my.salesforce.com"
    assert document["updated_at"].tzinfo is not None
    assert secrets_in(document) == []


def test_accounts_and_owners_have_keys_of_their_own(keys, documents):
    keys.save(ACCOUNT, TOKEN)

    assert keys.find(Account("consumer-key", "test.salesforce.com")) is None
    assert keys.find(Account("other-key", "login.salesforce.com")) is None
    assert documents.index_information()["account_id_1_owner_1"]["unique"]


def test_a_login_takes_the_place_of_whatever_is_there(keys, documents):
    documents.insert_one(OF_THE_SERVICE_BEFORE | {"token_invalidated": True, "last_error": "expired", "version": "7"})

    keys.save(ACCOUNT, SECOND)

    assert keys.find(ACCOUNT).token == SECOND
    document = documents.find_one()
    assert (document["tenant"], document["tags"]) == ({"plan": "gold"}, ["a", 1, None])
    assert document["version"] == 1
    assert not {"lease", "last_error"} & document.keys()


def test_a_document_of_the_service_before_is_read_and_encrypted_by_the_next_renewal(keys, documents):
    documents.insert_one(dict(OF_THE_SERVICE_BEFORE))
    assert keys.find(ACCOUNT).token["access_token"] == "first-access"
    before = documents.find_one()

    assert lease(keys).save({"access_token": "second-access", "instance_url": "https://acme.my.salesforce.com"})

    document = documents.find_one()
    assert secrets_in(document) == []
    ours = {"token", "token_invalidated", "version", "updated_at"}
    assert {name: document[name] for name in document.keys() - ours} == {
        name: before[name] for name in before.keys() - ours
    }
    assert keys.find(ACCOUNT).token == before["token"] | {"access_token": "second-access"}


@pytest.mark.parametrize("version", [0, None, "7", 1.5, [1]])
def test_a_version_that_another_program_wrote_stands_in_nobodys_way(keys, documents, version):
    documents.insert_one(OF_THE_SERVICE_BEFORE | {"version": version})

    assert lease(keys).save(SECOND)

    assert keys.find(ACCOUNT).token["access_token"] == "second-access"
    assert keys.find(ACCOUNT).version == 1


@pytest.mark.parametrize("foreign", ["text", 7, {"until": "2026"}, {"until": None}, {"taken_at": "noon"}])
def test_a_lease_that_another_program_wrote_stands_in_nobodys_way(keys, documents, foreign):
    documents.insert_one(OF_THE_SERVICE_BEFORE | {"lease": foreign})

    assert lease(keys).save(SECOND)

    assert "lease" not in documents.find_one()


def test_a_lease_is_for_one(keys):
    keys.save(ACCOUNT, TOKEN)

    first = lease(keys)

    assert lease(keys) is None
    assert first.save(SECOND)
    assert lease(keys)


def test_a_save_whose_reply_was_lost_is_repeated_without_harm(keys, monkeypatch):
    keys.save(ACCOUNT, TOKEN)
    update = Lease._update
    replies = iter(["lost"])

    def lose_the_first_reply(*arguments):
        updated = update(*arguments)
        if next(replies, None):
            raise KeyCollectionUnavailableError("connection reset")
        return updated

    monkeypatch.setattr(Lease, "_update", lose_the_first_reply)

    assert lease(keys).save(SECOND)
    assert (keys.find(ACCOUNT).token, keys.find(ACCOUNT).version) == (SECOND, 2)


def test_a_lease_that_has_run_out_is_no_right_to_save(keys):
    keys.save(ACCOUNT, TOKEN)
    late = lease(keys, seconds=0)
    newer = lease(keys)

    assert not late.save(TOKEN | {"access_token": "late"})
    assert not late.invalidate("refused")
    assert newer.save(SECOND)
    assert not late.save(TOKEN | {"access_token": "late"})
    assert keys.find(ACCOUNT).token == SECOND


def test_a_login_during_a_renewal_stays(keys):
    keys.save(ACCOUNT, TOKEN)
    renewal = lease(keys)

    keys.save(ACCOUNT, SECOND)

    assert not renewal.save(TOKEN | {"access_token": "late"})
    assert not renewal.invalidate("refused")
    assert keys.find(ACCOUNT).token == SECOND


def test_a_token_that_another_program_wrote_during_a_renewal_stays(keys, documents):
    documents.insert_one(dict(OF_THE_SERVICE_BEFORE))
    renewal = lease(keys)

    documents.update_one({}, {"$set": {"token": SECOND}})

    assert not renewal.save(TOKEN | {"access_token": "late"})
    assert keys.find(ACCOUNT).token == SECOND


def test_a_key_that_was_deleted_during_a_renewal_does_not_come_back(keys):
    keys.save(ACCOUNT, TOKEN)
    renewal = lease(keys)
    assert keys.delete(ACCOUNT)

    assert not renewal.save(SECOND)
    assert keys.find(ACCOUNT) is None
    assert not keys.delete(ACCOUNT)


@pytest.mark.parametrize("token", ["text", None, {"access_token": "fernet:unreadable", "instance_url": "https://x"}])
def test_a_refused_key_can_be_deleted_whatever_its_token_is(keys, documents, token):
    documents.insert_one(IDENTITY | {"token": token, "token_invalidated": True})

    refused = keys.find(ACCOUNT)
    assert (refused.invalidated, refused.token) == (True, None)
    assert keys.delete_unchanged(refused)

    assert keys.find(ACCOUNT) is None


def test_a_login_that_comes_while_a_refused_key_is_deleted_stays(keys):
    keys.save(ACCOUNT, TOKEN)
    lease(keys).invalidate("expired")
    refused = keys.find(ACCOUNT)
    keys.save(ACCOUNT, SECOND)

    assert not keys.delete_unchanged(refused)

    assert keys.find(ACCOUNT).token == SECOND


def test_documents_that_rule_out_a_unique_index_do_not_cost_a_login(keys, documents, caplog):
    documents.insert_many([{"account_id": "twice", "owner": "x"}, {"account_id": "twice", "owner": "x"}])

    keys.save(ACCOUNT, TOKEN)

    assert keys.find(ACCOUNT).token == TOKEN
    assert "has no unique index" in caplog.text


def test_a_document_that_mongodb_refuses_is_not_quoted(database, keys):
    database.create_collection("strict", validator={"$jsonSchema": {"required": ["tenant"]}})

    with pytest.raises(KeyCollectionError, match="Document failed validation") as caught:
        KeyCollection(database["strict"], KeyEncryption([], "secret")).save(ACCOUNT, TOKEN)
    assert not secrets_in(str(caught.value))


@pytest.mark.parametrize("token", [None, "text", {}, {"access_token": "a"}, {"instance_url": "https://x"}])
def test_a_document_without_a_token_is_named(keys, documents, token):
    documents.insert_one(IDENTITY | {"token": token})

    with pytest.raises(KeyCollectionError, match=r"account consumer-key.*delete it and log in again"):
        keys.find(ACCOUNT)


def test_mongodb_away_is_one_clear_error():
    with MongoClient("mongodb://127.0.0.1:9", serverSelectionTimeoutMS=200) as client:
        keys = KeyCollection(client["any"]["key"], KeyEncryption([], "secret"))
        with pytest.raises(KeyCollectionUnavailableError, match=r"127\.0\.0\.1:9.*mongo_conn_id"):
            keys.find(ACCOUNT)


def test_a_token_under_another_key_is_left_as_it_is(keys_under, documents):
    keys_under(OLD_KEY).save(ACCOUNT, TOKEN)
    before = documents.find_one()
    keys = keys_under(NEW_KEY)

    with pytest.raises(KeyDecryptionError, match=r"consumer-key.*put the old key back behind the new one"):
        keys.find(ACCOUNT)
    with pytest.raises(KeyDecryptionError):
        keys.find_or_create(ACCOUNT)

    assert documents.find_one() == before
    assert keys.status(ACCOUNT).state == "needs_login"
    assert "encrypted under a key that is not set here" in keys.status(ACCOUNT).last_error


def test_after_a_change_of_the_consumer_secret_the_error_says_what_to_do(keys_under):
    keys_under(secret="old").save(ACCOUNT, TOKEN)

    with pytest.raises(KeyDecryptionError, match=r"log in to Salesforce again.*or set key_encryption_keys"):
        keys_under(secret="new").find(ACCOUNT)
    assert keys_under(NEW_KEY, "secret:old", secret="new").find(ACCOUNT).token == TOKEN
    keys_under(secret="new").save(ACCOUNT, SECOND)  # a login
    assert keys_under(secret="new").find(ACCOUNT).token == SECOND


def test_rotation_puts_every_token_under_the_newest_key(keys_under, documents):
    plain, foreign, leased = (Account(name, "x") for name in ("plain", "foreign", "leased"))
    old = keys_under(OLD_KEY)
    old.save(ACCOUNT, TOKEN)
    old.save(leased, TOKEN)
    documents.insert_one({"account_id": "plain", "owner": "x", "token": TOKEN, "tenant": 1})
    keys_under(Fernet.generate_key().decode()).save(foreign, TOKEN)
    renewal = old.lease(old.find(leased), 60)

    keys = keys_under(NEW_KEY, OLD_KEY)
    accounts = [ACCOUNT, leased, plain, foreign]

    assert keys.accounts() == accounts
    assert [keys.rotate(account) for account in accounts] == ["rotated", "busy", "rotated", "unreadable"]
    assert keys.rotate(Account("nobody", "x")) == "missing"
    only_new = keys_under(NEW_KEY)
    assert only_new.find(ACCOUNT).token == only_new.find(plain).token == TOKEN
    assert documents.find_one({"account_id": "plain"})["tenant"] == 1
    assert renewal.save(SECOND)
    assert keys.rotate(leased) == "rotated"
    assert only_new.find(leased).token == SECOND


def test_the_status_tells_what_may_be_shown(keys, documents):
    assert keys.status(ACCOUNT) == KeyStatus("never")
    keys.find_or_create(ACCOUNT)
    assert keys.status(ACCOUNT).state == "never"

    keys.save(ACCOUNT, TOKEN)
    status = keys.status(ACCOUNT)
    assert (status.state, status.instance_url, status.last_error) == ("connected", TOKEN["instance_url"], "")
    assert status.issued_at == datetime(2025, 12, 1, tzinfo=timezone.utc)
    assert abs(status.updated_at - datetime.now(timezone.utc)) < timedelta(minutes=1)
    assert not secrets_in(repr(status))

    lease(keys).release("the login host is away", unused=False)
    assert (keys.status(ACCOUNT).state, keys.status(ACCOUNT).last_error) == ("connected", "the login host is away")

    lease(keys).invalidate("refused")
    assert (keys.status(ACCOUNT).state, keys.status(ACCOUNT).last_error) == ("needs_login", "refused")
    assert documents.count_documents({}) == 1


@pytest.mark.parametrize("issued_at", [None, 5, "2026-01-01T00:00:00Z", "9" * 30, ""])
def test_the_status_survives_what_another_program_wrote(keys, documents, issued_at):
    token = TOKEN | {"issued_at": issued_at}
    documents.insert_one(IDENTITY | {"token": token, "updated_at": "noon", "last_error": 7})

    status = keys.status(ACCOUNT)

    assert (status.state, status.issued_at, status.updated_at, status.last_error) == ("connected", None, None, "7")


@pytest.mark.parametrize("place", ["connection", "configuration"])
def test_the_hook_takes_its_keys_from_the_connection_else_from_airflows_configuration(
    place, keys_under, start_org, connections, monkeypatch, documents
):
    server = start_org()
    configured = f"{NEW_KEY}, {OLD_KEY}"
    monkeypatch.setenv(
        "AIRFLOW__SALESFORCE_EXPORT__KEY_ENCRYPTION_KEYS", OLD_KEY if place == "connection" else configured
    )
    connections(server, **({"key_encryption_keys": configured} if place == "connection" else {}))
    server.org.expire_tokens()

    with SalesforceExportHook() as hook:
        assert hook.get_conn().count("SELECT COUNT() FROM Contact") == 0
        account = hook.account

    assert keys_under(NEW_KEY).find(account).version == 2
    assert server.org.token_calls == 1


def test_the_api_server_renews_under_the_keys_of_airflows_configuration(
    browser, keys_under, start_org, connections, monkeypatch
):
    monkeypatch.setenv("AIRFLOW__SALESFORCE_EXPORT__KEY_ENCRYPTION_KEYS", NEW_KEY)
    server = start_org(contacts=3, rotate_refresh_tokens=True)
    connections(server)
    server.org.expire_tokens()

    answer = browser("op").get("export/contacts")

    assert (answer.status_code, server.org.token_calls) == (200, 1)
    keys = keys_under(NEW_KEY)
    assert keys.find(keys.accounts()[0]).version == 2


def test_a_wrong_key_fails_the_hook_at_once_and_changes_nothing(keys_under, start_org, connections, documents):
    server = start_org()
    connections(server, key_encryption_keys=NEW_KEY)
    with SalesforceExportHook() as hook:
        keys_under(OLD_KEY).save(hook.account, TOKEN)
        before = documents.find_one()
        works, message = hook.test_connection()

    assert (works, server.org.token_calls) == (False, 0)
    assert "encrypted under a key that is not set here" in message
    assert documents.find_one() == before
