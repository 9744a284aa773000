"""The fields of an Airflow connection to Salesforce, wherever they come from, read one by one and checked."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from functools import cache
from typing import Any, NamedTuple

from airflow_provider_salesforce_export.environment import connection_setting
from airflow_provider_salesforce_export.exceptions import ConfigurationError
from airflow_provider_salesforce_export.salesforce.domains import is_secure

log = logging.getLogger(__name__)


class Field(NamedTuple):
    """
    A field that is not blank.

    :param name: What it is called there.
    :param value: What it says.
    :param where: Where it was found, for messages.
    """

    name: str
    value: Any
    where: str

    def wrong(self, expected: str) -> ConfigurationError:
        """Return the error that shows the value and says what was expected; not for secrets."""
        return ConfigurationError(f"{self.name} {self.value!r} {self.where} is not {expected}.")


Find = Callable[[str], Field | None]
"""Returns the field of a name, or None."""


def finder(fields: Mapping[str, Any], where: str) -> Find:
    """
    Return what finds a field of a connection, else the setting of the environment that stands below it.

    :param fields: The fields of the connection. A blank one counts as unset.
    :param where: Where they are, for messages.
    """

    def find(name: str) -> Field | None:
        if fields.get(name) not in (None, ""):
            return Field(name, fields[name], where)
        setting = connection_setting(name)
        return Field(setting.variable, setting.value, "in the environment") if setting else None

    return find


@cache
def warn_of_unknown(names: frozenset[str], where: str) -> None:
    """
    Log a warning, once, of fields that nothing reads: they may be misspelt, and what they should change stays as it is.

    :param names: The names of the extra fields that a connection has.
    :param where: Where they are.
    """
    from airflow_provider_salesforce_export.get_provider_info import CONNECTION_FIELDS

    known = [*CONNECTION_FIELDS, "authorize_host"]
    unknown = sorted(names.difference(known))
    if unknown:
        meant = {close for name in unknown for close in get_close_matches(name.lower(), known, n=1, cutoff=0.8)}
        advice = f" Perhaps this was meant: {', '.join(sorted(meant))}." if meant else ""
        log.warning("Nothing reads the extra fields %s %s.%s", ", ".join(unknown), where, advice)


def text(field: Field | None, default: str = "") -> str:
    """
    Return a field as a text.

    :param field: The field.
    :param default: What counts where it is unset.
    """
    return str(field.value) if field else default


def choice(field: Field | None, choices: tuple[str, ...], synonyms: Mapping[str, str]) -> str:
    """
    Return a field that is one of some words; the first where it is unset.

    :param field: The field.
    :param choices: The words.
    :param synonyms: Other words for some of them.
    :raises ConfigurationError: It is none of them.
    """
    word = text(field, choices[0]).strip()
    chosen = synonyms.get(word, word)
    if field and chosen not in choices:
        raise field.wrong(f"one of {', '.join(choices)}")
    return chosen


def api_version(field: Field | None) -> str | None:
    """
    Return an API version, such as ``62.0``, or None where it is unset.

    :param field: The field.
    :raises ConfigurationError: It is no version.
    """
    if field is None:
        return None
    number, _, fraction = text(field).strip().lower().removeprefix("v").partition(".")
    if not number.isdigit() or fraction not in ("", "0"):
        raise field.wrong("a version such as '62.0'")
    return f"{number}.0"


def seconds(field: Field | None, default: float) -> float:
    """
    Return a number of seconds.

    :param field: The field.
    :param default: What counts where it is unset.
    :raises ConfigurationError: It is no number above 0.
    """
    if field is None:
        return default
    try:
        number = float(field.value)
    except (TypeError, ValueError):
        number = 0.0
    if not number > 0:
        raise field.wrong("a number of seconds above 0")
    return number


def proxies(field: Field | None) -> dict[str, str] | None:
    """
    Return proxies by scheme, as requests takes them, or None where they are unset.

    :param field: The field: an object, or the same as JSON.
    :raises ConfigurationError: It is neither; its value may hold a password, and is not shown.
    """
    value = field.value if field else None
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except json.JSONDecodeError:
            value = "not JSON"
    if value is None or isinstance(value, dict):
        return value
    where = field.where if field else ""
    raise ConfigurationError(f'proxies {where} is not an object such as {{"https": "http://proxy:3128"}}.')


def scopes(field: Field | None, default: tuple[str, ...]) -> tuple[str, ...]:
    """
    Return the scopes of a login.

    :param field: The field: a list, or a text with spaces or commas between them, maybe URL-encoded.
    :param default: What counts where it is unset.
    """
    if field is None:
        return default
    if isinstance(field.value, list):
        return tuple(str(scope) for scope in field.value)
    return tuple(re.split(r"(?:[\s,+]|%20)+", text(field).strip()))


def redirect_uri(field: Field | None) -> str | None:
    """
    Return the address that a login comes back to, or None where it is unset.

    :param field: The field.
    :raises ConfigurationError: It is neither an https address nor one of this machine.
    """
    if field is None:
        return None
    address = text(field).strip()
    if not is_secure(address):
        raise field.wrong("an https address such as 'https://airflow.acme.com/callback'")
    return address


def keys(field: Field | None) -> tuple[str, ...]:
    """
    Return encryption keys, newest first.

    :param field: The field: a list, or a text with commas between them.
    """
    if field is None:
        return ()
    values = field.value if isinstance(field.value, list) else text(field).split(",")
    return tuple(str(key).strip() for key in values if str(key).strip())
