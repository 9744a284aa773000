"""Private keys for JWT assertions, in every spelling that fits a one-line form field."""

from __future__ import annotations

import binascii
import re
from base64 import b64decode
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
)

from airflow_provider_salesforce_export.exceptions import ConfigurationError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

_ARMOR = re.compile(r"-----BEGIN (?P<kind>[A-Z ]*PRIVATE KEY)-----(?P<body>.*?)-----END (?P=kind)-----", re.DOTALL)


def read_private_key(path: str) -> RSAPrivateKey:
    """
    Read a private key from a file.

    :param path: The file, on the machine that runs the task.
    :raises ConfigurationError: It cannot be read, or holds no RSA private key.
    """
    try:
        content = Path(path).expanduser().read_text(encoding="ascii")
    except OSError as error:
        raise ConfigurationError(
            f"private_key_file_path {path!r} cannot be read where this task runs: {error.strerror}. An Airflow admin "
            "puts the file on every worker, or the key itself into private_key."
        ) from None
    except UnicodeDecodeError:
        content = ""
    return parse_private_key(content, "private_key_file_path")


def parse_private_key(text: str, name: str = "private_key") -> RSAPrivateKey:
    r"""
    Return the private key of a text.

    :param text: PEM, also with ``\n`` for its line breaks or without any, or encoded as base64 once more.
    :param name: Which field it comes from, for the message.
    :raises ConfigurationError: It is no RSA private key, or one under a passphrase.
    """
    text = text.replace("\\r", "").replace("\\n", "\n")
    armor = _ARMOR.search(text) or _ARMOR.search(_decoded(text).decode("latin-1"))
    if armor and ("ENCRYPTED" in armor["kind"] or "ENCRYPTED" in armor["body"]):
        raise ConfigurationError(
            f"The key in {name} is under a passphrase. Store it without: openssl rsa -in key.pem -out plain.pem"
        )
    key = _load(_decoded(armor["body"] if armor else text))
    if not isinstance(key, RSAPrivateKey):
        raise ConfigurationError(
            f"{name} is not an RSA private key. Expected the key whose certificate the app in Salesforce has, in PEM "
            "('-----BEGIN PRIVATE KEY-----...'); its line breaks may be written as \\n, or all of it encoded as base64."
        )
    return key


def private_key_text(key: RSAPrivateKey) -> str:
    """
    Return a private key as a text, which is the same however the key was spelled.

    :param key: The key.
    """
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode("ascii")


def _load(der: bytes) -> PrivateKeyTypes | None:
    try:
        return load_der_private_key(der, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return None


def _decoded(text: str) -> bytes:
    try:
        return b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        return b""
