"""What can be exported: the catalogue of object types, and the class for any other sObject."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from airflow_provider_salesforce_export import environment
from airflow_provider_salesforce_export.exceptions import ConfigurationError, UnknownObjectTypeError

DEFAULT_CURSOR_FIELD = "SystemModstamp"
"""Moves with every change, also those that automation makes."""

ALL_FIELDS = "*"
"""In the fields of a query that is not yet composed: all that the user may see."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
_API_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_FIELD_PATH = re.compile(rf"{_API_NAME.pattern}(\.{_API_NAME.pattern})*")
_SELECT = re.compile(
    r"\s*SELECT\s+(?P<fields>.+?)\s+FROM\s+(?P<sobject>\w+)(?:\s+WHERE\s+(?P<where>.+?))?\s*",
    re.IGNORECASE | re.DOTALL,
)
_QUOTED = re.compile(r"'(?:\\.|[^'\\])*'", re.DOTALL)
_OTHER_CLAUSES = re.compile(
    r"\b(ORDER\s+BY|LIMIT|OFFSET|GROUP\s+BY|HAVING|WITH|USING\s+SCOPE|ALL\s+ROWS|FOR\s+(?:VIEW|UPDATE|REFERENCE))\b",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class ObjectType:
    """
    One kind of record to export, and which of its fields.

    ``Id`` and the cursor field are always read, whether named or not.

    :param name: The name of the export: the folder at the destination. Letters, digits, ``-`` and ``_``.
    :param sobject: The API name of the sObject, such as ``Contact`` or ``Invoice__c``.
    :param fields: Field paths, such as ``("Name", "Account.Name")``; or ``"all"`` that the user may see
        of the sObject, but no compound fields and no files.
    :param where: A SOQL condition without the word WHERE, or None for all records. Not templated.
    :param cursor_field: The datetime field by which incremental runs choose their records.
    :raises ConfigurationError: A name that Salesforce could not know, or that cannot be a folder.
    """

    name: str
    sobject: str
    fields: tuple[str, ...] | Literal["all"]
    where: str | None = None
    cursor_field: str = DEFAULT_CURSOR_FIELD

    def __post_init__(self) -> None:
        if isinstance(self.fields, str) and self.fields != "all":
            raise ConfigurationError(
                f"fields is a tuple of field paths or 'all', not the text {self.fields!r} ({self.name!r})."
            )
        paths = () if self.fields == "all" else tuple(self.fields)
        object.__setattr__(self, "fields", paths or self.fields)
        if not _NAME.fullmatch(self.name):
            raise ConfigurationError(
                f"Object type name {self.name!r} cannot be a folder: use letters, digits, '-' and '_'."
            )
        for api_name in (self.sobject, self.cursor_field):
            if not _API_NAME.fullmatch(api_name):
                raise ConfigurationError(f"{api_name!r} is not an API name of Salesforce (object type {self.name!r}).")
        for field in paths:
            if not _FIELD_PATH.fullmatch(field):
                raise ConfigurationError(
                    f"{field!r} is not a field path such as 'Name' or 'Account.Name' (object type {self.name!r}). All "
                    "fields are fields='all'. Functions, subqueries and TYPEOF cannot be exported."
                )
        if self.where is not None:
            _require_condition(self.name, self.where)

    @classmethod
    def from_soql(cls, name: str, soql: str, *, cursor_field: str = DEFAULT_CURSOR_FIELD) -> ObjectType:
        """
        Make an object type of a query.

        :param name: The name of the export.
        :param soql: ``SELECT fields FROM sObject [WHERE condition]``. ORDER BY, LIMIT and OFFSET belong to the
            pages, which this package writes itself; a query with these or other clauses is refused.
        :param cursor_field: The datetime field by which incremental runs choose their records.
        :raises ConfigurationError: The query is not of that form.
        """
        soql = soql.strip().rstrip(";")
        _refuse_other_clauses(name, soql)
        match = _SELECT.fullmatch(soql)
        if match is None:
            expected = "SELECT ... FROM ... [WHERE ...], without alias"
            raise ConfigurationError(f"Expected {expected}, for {name!r}, got: {soql}")
        fields = tuple(field.strip() for field in match["fields"].split(","))
        return cls(name, match["sobject"], fields, where=match["where"], cursor_field=cursor_field)

    def all_fields(self, *, include_deleted: bool = False) -> tuple[str, ...]:
        """
        Return Id, the fields asked for and the cursor field, each once, in that order; ``*`` stands for ``"all"``.

        :param include_deleted: IsDeleted too, which tells the records of the recycle bin from the others.
        """
        by_key = {field.lower(): field for field in (*self._asked_fields, *self._added_fields(include_deleted))}
        return tuple(by_key.values())

    def optional_fields(self, *, include_deleted: bool = False) -> tuple[str, ...]:
        """
        Return those of :meth:`all_fields` that nobody asked for: an sObject may have none of them.

        :param include_deleted: As for :meth:`all_fields`.
        """
        asked = {field.lower() for field in self._asked_fields}
        if self.cursor_field != DEFAULT_CURSOR_FIELD:
            asked.add(self.cursor_field.lower())
        return tuple(field for field in self._added_fields(include_deleted) if field.lower() not in asked)

    @property
    def _asked_fields(self) -> tuple[str, ...]:
        return ("Id", ALL_FIELDS) if self.fields == "all" else ("Id", *self.fields)

    def _added_fields(self, include_deleted: bool) -> tuple[str, ...]:
        return (self.cursor_field, "IsDeleted") if include_deleted else (self.cursor_field,)


def _require_condition(name: str, where: str) -> None:
    _refuse_other_clauses(name, where)
    unquoted = _QUOTED.sub("''", where)
    if not where.strip() or re.match(r"\s*WHERE\b", unquoted, re.IGNORECASE):
        raise ConfigurationError(
            f"where of {name!r} is a condition without the word WHERE, or None for all records, not {where!r}."
        )
    if "{{" in unquoted or "{%" in unquoted:
        raise ConfigurationError(
            f"where of {name!r} is not templated: {where}. For the records of a data interval: mode='incremental'."
        )


def _refuse_other_clauses(name: str, soql: str) -> None:
    refused = _OTHER_CLAUSES.search(_QUOTED.sub("''", soql))
    if refused:
        raise ConfigurationError(
            f"{refused[1]} in the query of {name!r} is not possible: the export orders and cuts the pages itself, and "
            "reads all that the condition matches (deleted records too by include_deleted=True)."
        )


CONTACTS = ObjectType("contacts", "Contact", ("Name", "Account.Name", "Title", "Phone", "Email", "Contact.Owner.Alias"))
DEALS = ObjectType(
    "deals",
    "Opportunity",
    ("Name", "Account.Name", "Amount", "CloseDate", "StageName", "Opportunity.Owner.Alias"),
)
NOTES = ObjectType(
    "notes", "Note", ("Body", "IsDeleted", "IsPrivate", "OwnerId", "ParentId", "Title", "Note.Owner.Alias")
)
CATALOGUE = {object_type.name: object_type for object_type in (CONTACTS, DEALS, NOTES)}


def object_type_from_environment(name: str) -> ObjectType | None:
    """
    Return the object type that the environment makes of a name from the catalogue, or None where it says nothing.

    :param name: ``"contacts"``, ``"deals"`` or ``"notes"``.
    :raises ConfigurationError: The environment variable is not the URL of a query that can be exported.
    """
    setting = environment.object_query(name)
    if setting is None:
        return None
    try:
        return ObjectType.from_soql(name, setting.value)
    except ConfigurationError as error:
        raise ConfigurationError(f"The query of the environment variable {setting.variable}: {error}") from None


def resolve_object_type(object_type: str | ObjectType) -> ObjectType:
    """
    Return the object type of a name from the catalogue, or the given one as it is.

    A name is looked up in the environment first, where it is called: when a DAG file is parsed, which each task does
    anew in its worker.

    :param object_type: ``"contacts"``, ``"deals"``, ``"notes"``, or an :class:`ObjectType`.
    :raises UnknownObjectTypeError: No such name; the message lists the known ones.
    :raises ConfigurationError: The environment says something of this name that is not a query.
    """
    if isinstance(object_type, ObjectType):
        return object_type
    try:
        return object_type_from_environment(object_type) or CATALOGUE[object_type]
    except KeyError:
        raise UnknownObjectTypeError(
            f"Unknown object type {object_type!r}. Known: {', '.join(CATALOGUE)}. "
            "Any other sObject: pass ObjectType(name, sobject, fields), on the command line --soql."
        ) from None
