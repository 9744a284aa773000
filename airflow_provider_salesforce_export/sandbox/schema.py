"""What an object and a field are, and how Salesforce describes them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from airflow_provider_salesforce_export.sandbox.errors import SalesforceError

_SOAP_TYPES = {
    "id": "tns:ID",
    "reference": "tns:ID",
    "boolean": "xsd:boolean",
    "date": "xsd:date",
    "datetime": "xsd:dateTime",
    "time": "xsd:time",
    "double": "xsd:double",
    "currency": "xsd:double",
    "percent": "xsd:double",
    "int": "xsd:int",
    "long": "xsd:long",
    "base64": "xsd:base64Binary",
    "address": "urn:address",
    "location": "urn:location",
}
NUMBERS = frozenset({"double", "currency", "percent", "int", "long"})


@dataclass(frozen=True)
class Field:
    """
    A field of an object, in the terms of Salesforce's describe call.

    :param name: API name.
    :param type: Salesforce's type, such as string, reference or datetime.
    :param length: Most characters of a text.
    :param precision: Digits of a number.
    :param scale: Of which behind the point.
    :param nillable: Whether it may be null.
    :param writable: Whether a client may set it.
    :param default: What a new record has when the client sets nothing.
    :param relationship: Name by which a query follows the reference.
    :param reference_to: Objects that the reference may point at.
    :param compound: Name of the compound field that this one is a part of.
    :param parts: Keys and fields of a compound field.
    :param picklist: Values to choose from.
    """

    name: str
    type: str
    length: int = 0
    precision: int = 0
    scale: int = 0
    nillable: bool = True
    writable: bool = True
    default: Any = None
    relationship: str | None = None
    reference_to: tuple[str, ...] = ()
    compound: str | None = None
    parts: tuple[tuple[str, str], ...] = ()
    picklist: tuple[str, ...] = ()

    @property
    def filterable(self) -> bool:
        """Whether a query may filter by it."""
        return self.type not in {"textarea", "encryptedstring", "base64", "address", "location"}

    @property
    def sortable(self) -> bool:
        """Whether a query may order by it."""
        return self.filterable

    @property
    def required(self) -> bool:
        """Whether a new record must set it."""
        return self.writable and not self.nillable and self.default is None

    def describe(self) -> dict[str, Any]:
        """Return the field's part of a describe reply."""
        return {
            "name": self.name,
            "label": self.name.replace("__c", ""),
            "type": self.type,
            "soapType": _SOAP_TYPES.get(self.type, "xsd:string"),
            "length": self.length,
            "byteLength": self.length * 3,
            "precision": self.precision,
            "scale": self.scale,
            "digits": 0,
            "nillable": self.nillable,
            "createable": self.writable,
            "updateable": self.writable,
            "defaultedOnCreate": self.default is not None or not self.writable,
            "filterable": self.filterable,
            "sortable": self.sortable,
            "groupable": self.filterable and self.type not in NUMBERS | {"datetime"},
            "aggregatable": self.filterable and self.type != "boolean",
            "custom": self.name.endswith("__c"),
            "calculated": False,
            "unique": False,
            "idLookup": self.type == "id",
            "nameField": self.name in {"Name", "Title"} and self.type == "string",
            "caseSensitive": False,
            "relationshipName": self.relationship,
            "referenceTo": list(self.reference_to),
            "compoundFieldName": self.compound,
            "picklistValues": [
                {"value": value, "label": value, "active": True, "defaultValue": False} for value in self.picklist
            ],
        }


@dataclass(frozen=True)
class SObject:
    """
    An object: its name, the prefix of its Ids, and its fields.

    :param name: API name.
    :param prefix: First three characters of its Ids.
    :param fields: Its fields, in the order in which describe lists them.
    """

    name: str
    prefix: str
    fields: tuple[Field, ...]

    @cached_property
    def by_name(self) -> dict[str, Field]:
        """The fields by lower-case name: SOQL does not care about case."""
        return {field.name.lower(): field for field in self.fields}

    @cached_property
    def by_relationship(self) -> dict[str, Field]:
        """The references by lower-case name of the relationship."""
        return {field.relationship.lower(): field for field in self.fields if field.relationship}

    @cached_property
    def stored(self) -> tuple[Field, ...]:
        """The fields that are columns: all but the compound ones."""
        return tuple(field for field in self.fields if not field.parts)

    def without(self, hidden: set[str]) -> SObject:
        """
        Return the object as a user sees it from whom some fields are hidden.

        :param hidden: Lower-case names of the form ``object.field``.
        """
        seen = tuple(field for field in self.fields if f"{self.name}.{field.name}".lower() not in hidden)
        return SObject(self.name, self.prefix, seen)

    def summary(self, version: str) -> dict[str, Any]:
        """
        Return the object's entry in the list of objects.

        :param version: API version, such as 68.0.
        """
        base = f"/services/data/v{version}/sobjects/{self.name}"
        return {
            "name": self.name,
            "label": self.name,
            "labelPlural": f"{self.name}s",
            "keyPrefix": self.prefix,
            "custom": False,
            "queryable": True,
            "retrieveable": True,
            "createable": True,
            "updateable": True,
            "deletable": self.name != "User",
            "searchable": True,
            "triggerable": True,
            "urls": {
                "sobject": base,
                "describe": f"{base}/describe",
                "rowTemplate": f"{base}/{{ID}}",
            },
        }

    def describe(self, version: str) -> dict[str, Any]:
        """
        Return the reply of the describe call.

        :param version: API version, such as 68.0.
        """
        return {
            **self.summary(version),
            "fields": [field.describe() for field in self.fields],
            "childRelationships": [],
            "recordTypeInfos": [],
        }


class Schema:
    """
    The objects of an org as its user sees them.

    :param objects: All objects.
    :param hidden_fields: What field-level security hides, as ``Object.Field``.
    """

    def __init__(self, objects: tuple[SObject, ...], hidden_fields: tuple[str, ...] = ()) -> None:
        hidden = {name.lower() for name in hidden_fields}
        self.objects = tuple(sobject.without(hidden) for sobject in objects)
        self._by_name = {sobject.name.lower(): sobject for sobject in self.objects}

    def find(self, name: str) -> SObject | None:
        """
        Return an object, or None when the org has none of that name.

        :param name: API name, in any case.
        """
        return self._by_name.get(name.lower())

    def get(self, name: str) -> SObject:
        """
        Return an object.

        :param name: API name, in any case.
        :raises SalesforceError: The org has none of that name (NOT_FOUND).
        """
        sobject = self.find(name)
        if sobject is None:
            raise SalesforceError(404, "NOT_FOUND", "The requested resource does not exist")
        return sobject
