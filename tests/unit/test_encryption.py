import json

import pytest
from cryptography.fernet import Fernet

from airflow_provider_salesforce_export.exceptions import ConfigurationError
from airflow_provider_salesforce_export.key_collection.encryption import InvalidToken, KeyEncryption, redact

TOKEN = {
    "access_token": "00D!access",
    "refresh_token": "5Aep.refresh",
    "id_token": "eyJ.id",
    "signature": "c2lnbmVk",
    "instance_url": "https://acme.my.salesforce.com",
    "issued_at": "1764547200000",
    "scope": "api refresh_token",
}
SECRETS = ("00D!access", "5Aep.refresh", "eyJ.id", "c2lnbmVk")
OLD, NEW = Fernet.generate_key().decode(), Fernet.generate_key().decode()


def shown_in(value):
    return [secret for secret in SECRETS if secret in json.dumps(value)]


def test_a_token_comes_back_as_it_was_and_shows_no_secret_meanwhile():
    encryption = KeyEncryption([NEW], "consumer-secret")

    stored = encryption.encrypt(TOKEN)

    assert shown_in(stored) == []
    assert stored["access_token"].startswith("fernet:")
    assert {name for name in TOKEN if stored[name] == TOKEN[name]} == {"instance_url", "issued_at", "scope"}
    assert encryption.decrypt(stored) == TOKEN


def test_what_salesforce_may_add_one_day_is_taken_for_a_secret():
    stored = KeyEncryption([], "secret").encrypt({"new": "00D!access", "raw": {"list": ["5Aep.refresh"], "number": 7}})

    assert shown_in(stored) == []
    assert stored["raw"]["number"] == 7
    assert KeyEncryption([], "secret").decrypt(stored)["raw"] == {"list": ["5Aep.refresh"], "number": 7}


def test_plain_text_is_read():
    assert KeyEncryption([NEW], "").decrypt(TOKEN) == TOKEN


def test_the_first_key_encrypts_and_all_decrypt():
    under_the_old_key = KeyEncryption([OLD], "").encrypt(TOKEN)
    both = KeyEncryption([NEW, OLD], "")

    assert both.decrypt(under_the_old_key) == TOKEN
    assert KeyEncryption([NEW], "").decrypt(both.encrypt(TOKEN)) == TOKEN


def test_without_keys_every_worker_derives_the_same_from_the_consumer_secret():
    stored = KeyEncryption([], "consumer-secret").encrypt(TOKEN)

    assert KeyEncryption([], "consumer-secret").decrypt(stored) == TOKEN
    with pytest.raises(InvalidToken):
        KeyEncryption([], "another-secret").decrypt(stored)


def test_a_derived_key_never_changes_from_one_version_of_this_package_to_the_next():
    stored = (
        "fernet:gAAAAABrAnGyWcfWJHjVr6TmDTMp3-OSpDAJ9xHiTCQgCTaAOJs3LkwGnyLkKGmp3QO1hI95fbPsRwijLOQ3eYz5-WzaJpFg1A=="
    )

    assert KeyEncryption([], "consumer-secret").decrypt({"access_token": stored}) == {"access_token": "00D!access"}


def test_keys_that_are_set_later_leave_the_token_under_the_derived_key_readable():
    stored = KeyEncryption([], "consumer-secret").encrypt(TOKEN)

    assert KeyEncryption([NEW], "consumer-secret").decrypt(stored) == TOKEN


def test_a_changed_consumer_secret_can_be_named_among_the_keys():
    stored = KeyEncryption([], "old-secret").encrypt(TOKEN)

    assert KeyEncryption([NEW, "secret:old-secret"], "new-secret").decrypt(stored) == TOKEN


def test_the_line_breaks_of_a_private_key_do_not_matter():
    stored = KeyEncryption([], "-----BEGIN KEY-----\nMIIE\nabc\n-----END KEY-----\n").encrypt(TOKEN)

    assert KeyEncryption([], "-----BEGIN KEY----- MIIE abc -----END KEY-----").decrypt(stored) == TOKEN


@pytest.mark.parametrize("key", ["hunter2", "", "ä", NEW[:-2], "c2hvcnQ="])
def test_what_is_not_a_key_is_said_to_be_none_and_not_shown(key):
    with pytest.raises(ConfigurationError, match="Entry 2 of key_encryption_keys is not a Fernet key") as caught:
        KeyEncryption([OLD, key], "consumer-secret")
    assert not key or key not in str(caught.value)


def test_nothing_to_make_a_key_of_is_an_error():
    with pytest.raises(ConfigurationError, match="Set key_encryption_keys"):
        KeyEncryption([], "")


def test_redaction_leaves_no_secret_and_the_rest_as_it_is():
    text = redact("bad 5Aep.refresh for https://acme.my.salesforce.com: 00D!access", TOKEN | {"extra": ""})

    assert text == "bad *** for https://acme.my.salesforce.com: ***"
