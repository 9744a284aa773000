"""
Encryption of the tokens in the key collection.

Each secret value is a Fernet token of its own, so that people can still read the rest of a document. Keys are Fernet
keys, newest first: the first one encrypts, all decrypt. Where none is set, one is derived from the consumer secret,
which every worker has anyway: by HKDF-SHA256 (RFC 5869), with the salt and the info below.
"""

from __future__ import annotations

from base64 import urlsafe_b64encode
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from airflow_provider_salesforce_export.exceptions import ConfigurationError

if TYPE_CHECKING:
    from airflow_provider_salesforce_export.salesforce.grants import Token

__all__ = ["InvalidToken", "KeyEncryption", "redact"]

MARK = "fernet:"
"""How an encrypted value begins; a value without it is plain text, as other programs store it."""

DERIVED = "secret:"
"""How an entry of the key list begins that is no Fernet key, but a consumer secret to derive one from."""

_SALT = b"airflow-provider-salesforce-export"
_INFO = b"key collection: encryption of tokens"

_READABLE = frozenset({"instance_url", "issued_at", "id", "scope", "token_type"})
"""What stays plain text of a token reply. Not a list of secrets: a field that Salesforce adds may be one."""


class KeyEncryption:
    """
    Encrypt and decrypt tokens.

    :param keys: Fernet keys, newest first; ``secret:`` followed by a consumer secret stands for the key that is
        derived from it.
    :param secret: The consumer secret, or what the grant has in its place (a private key). The key derived from it
        encrypts where ``keys`` is empty, and decrypts in any case, so that keys can be set later on.
    :raises ConfigurationError: A key is not a Fernet key, or there is none.
    """

    def __init__(self, keys: Sequence[str], secret: str) -> None:
        fernets = [_fernet(key, number) for number, key in enumerate(keys, 1)]
        if secret:
            fernets.append(_derived(secret))
        if not fernets:
            raise ConfigurationError(
                "There is no key to encrypt the Salesforce token with: the connection has no consumer secret to derive "
                "one from. Set key_encryption_keys in the Airflow connection or in [salesforce_export]."
            )
        self._fernet = MultiFernet(fernets)

    def encrypt(self, token: Token) -> Token:
        """
        Return a token as it is stored.

        :param token: The reply of the token endpoint.
        """
        return {name: value if name in _READABLE else _map(self._encrypted, value) for name, value in token.items()}

    def decrypt(self, token: Token) -> Token:
        """
        Return a token as Salesforce sent it.

        :param token: As it is stored, encrypted or in plain text.
        :raises InvalidToken: It is encrypted under none of the keys, or damaged.
        """
        return {name: _map(self._decrypted, value) for name, value in token.items()}

    def _encrypted(self, text: str) -> str:
        return MARK + self._fernet.encrypt(text.encode()).decode()

    def _decrypted(self, text: str) -> str:
        return self._fernet.decrypt(text.removeprefix(MARK)).decode() if text.startswith(MARK) else text


def redact(text: str, token: Token | None) -> str:
    """
    Return a text without the secrets of a token.

    :param text: Such as a message of Salesforce.
    :param token: The reply of the token endpoint.
    """
    for name, value in (token or {}).items():
        if name not in _READABLE and isinstance(value, str) and value:
            text = text.replace(value, "***")
    return text


def _map(change: Callable[[str], str], value: Any) -> Any:
    """Change all texts in a value; another program may have stored nested ones."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, dict):
        return {name: _map(change, item) for name, item in value.items()}
    if isinstance(value, list):
        return [_map(change, item) for item in value]
    return value


def _fernet(key: str, number: int) -> Fernet:
    if key.startswith(DERIVED):
        return _derived(key.removeprefix(DERIVED))
    try:
        return Fernet(key)
    except ValueError:
        raise ConfigurationError(
            f"Entry {number} of key_encryption_keys is not a Fernet key: expected 32 bytes in url-safe base64, as "
            "cryptography.fernet.Fernet.generate_key() makes them, or 'secret:' followed by a consumer secret."
        ) from None


def _derived(secret: str) -> Fernet:
    # Without white space: a private key's line breaks do not survive every form and environment variable.
    material = "".join(secret.split()).encode()
    return Fernet(urlsafe_b64encode(HKDF(SHA256(), 32, _SALT, _INFO).derive(material)))
