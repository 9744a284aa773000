import textwrap
from base64 import b64encode

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from airflow_provider_salesforce_export.exceptions import ConfigurationError
from airflow_provider_salesforce_export.salesforce.private_key import parse_private_key, read_private_key


def as_pem(key, form=serialization.PrivateFormat.PKCS8, encryption=None):
    return key.private_bytes(serialization.Encoding.PEM, form, encryption or serialization.NoEncryption()).decode()


@pytest.fixture(scope="module")
def key(key_pair):
    return serialization.load_pem_private_key(key_pair[0].encode(), None)


SPELLINGS = {
    "as the file has it": lambda pem: pem,
    "with Windows line ends": lambda pem: pem.replace("\n", "\r\n"),
    "with escaped line breaks": lambda pem: pem.replace("\n", "\\n"),
    "with escaped Windows line breaks": lambda pem: pem.replace("\n", "\\r\\n"),
    "without line breaks, as a one-line field leaves it": lambda pem: pem.replace("\n", ""),
    "with spaces for line breaks": lambda pem: pem.replace("\n", " "),
    "indented": lambda pem: textwrap.indent(pem, "    "),
    "after the certificate": lambda pem: "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n" + pem,
    "as base64": lambda pem: b64encode(pem.encode()).decode(),
    "as base64 in lines": lambda pem: "\n".join(textwrap.wrap(b64encode(pem.encode()).decode(), 76)),
    "without its armor": lambda pem: "".join(pem.splitlines()[1:-1]),
}


@pytest.mark.parametrize("spelling", SPELLINGS.values(), ids=SPELLINGS)
@pytest.mark.parametrize("form", [serialization.PrivateFormat.PKCS8, serialization.PrivateFormat.TraditionalOpenSSL])
def test_every_spelling_of_a_key(key, spelling, form):
    assert parse_private_key(spelling(as_pem(key, form))).private_numbers() == key.private_numbers()


def test_a_file(key, tmp_path):
    path = tmp_path / "key.pem"
    path.write_text(as_pem(key))

    assert read_private_key(str(path)).private_numbers() == key.private_numbers()


def public(key):
    return (
        key.public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        .decode()
    )


WRONG = {
    "a public key": public,
    "a key of another kind": lambda key: as_pem(ec.generate_private_key(ec.SECP256R1())),
    "half a key": lambda key: as_pem(key)[:500],
    "a damaged key": lambda key: as_pem(key).replace("\nM", "\nN"),
    "a text": lambda key: "s3cret-but-no-key",
    "nothing": lambda key: " ",
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_what_is_no_rsa_private_key_is_refused_and_not_shown(key, wrong, tmp_path):
    text = wrong(key)
    path = tmp_path / "key.pem"
    path.write_text(text)

    with pytest.raises(ConfigurationError, match=r"^private_key is not an RSA private key") as caught:
        parse_private_key(text)
    assert not text.strip() or text[:40] not in str(caught.value)
    with pytest.raises(ConfigurationError, match=r"^private_key_file_path is not an RSA private key"):
        read_private_key(str(path))


@pytest.mark.parametrize("form", [serialization.PrivateFormat.PKCS8, serialization.PrivateFormat.TraditionalOpenSSL])
def test_a_key_under_a_passphrase_says_how_to_take_it_off(key, form):
    locked = as_pem(key, form, serialization.BestAvailableEncryption(b"passphrase"))

    for text in (locked, locked.replace("\n", "\\n")):
        with pytest.raises(ConfigurationError, match=r"under a passphrase.*openssl rsa"):
            parse_private_key(text)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ConfigurationError, match=r"missing\.pem.*No such file.*every worker"):
        read_private_key(str(tmp_path / "missing.pem"))


def test_a_binary_file_is_no_key(tmp_path):
    path = tmp_path / "key.der"
    path.write_bytes(bytes(range(256)))

    with pytest.raises(ConfigurationError, match="not an RSA private key"):
        read_private_key(str(path))
