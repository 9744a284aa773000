"""Single records over the data API: create, retrieve, update, delete."""

from __future__ import annotations

from base64 import b64decode
from typing import TYPE_CHECKING, Any

from airflow_provider_salesforce_export.sandbox.errors import SalesforceError
from airflow_provider_salesforce_export.sandbox.filters import date_text, datetime_text
from airflow_provider_salesforce_export.sandbox.ids import to_18
from airflow_provider_salesforce_export.sandbox.messages import Reply
from airflow_provider_salesforce_export.sandbox.schema import NUMBERS
from airflow_provider_salesforce_export.sandbox.translate import translate

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_salesforce_export.sandbox.messages import Request
    from airflow_provider_salesforce_export.sandbox.org import SandboxOrg
    from airflow_provider_salesforce_export.sandbox.schema import Field, SObject

_NOT_FOUND = SalesforceError(404, "NOT_FOUND", "The requested resource does not exist")


class Records:
    """
    Answers the calls that concern one record.

    :param org: The org.
    """

    def __init__(self, org: SandboxOrg) -> None:
        self.org = org

    def create(self, request: Request, version: str, name: str) -> Reply:
        """
        Insert a record.

        :param request: The call.
        :param version: API version.
        :param name: The object.
        :raises SalesforceError: Its values are refused.
        """
        sobject = self.org.schema.get(name)
        values = _values(sobject, request.posted())
        missing = [field.name for field in sobject.fields if field.required and values.get(field.name) in {None, ""}]
        if missing:
            message = f"Required fields are missing: [{', '.join(missing)}]"
            raise SalesforceError(400, "REQUIRED_FIELD_MISSING", message, missing)
        record_id = self.org.insert(sobject.name, **values)
        return Reply.json({"id": record_id, "success": True, "errors": []}, 201)

    def retrieve(self, request: Request, version: str, name: str, record_id: str) -> Reply:
        """
        Read a record.

        :param request: The call; its parameter ``fields`` chooses among the fields.
        :param version: API version.
        :param name: The object.
        :param record_id: The record.
        :raises SalesforceError: There is no such object, field or record.
        """
        sobject = self.org.schema.get(name)
        whole = self._id(record_id)
        fields = request.query.get("fields") or ", ".join(field.name for field in sobject.fields)
        soql = f"SELECT {fields} FROM {sobject.name} WHERE Id = '{whole}'"
        statement = translate(self.org.schema, soql, version)
        with self.org.store.reading() as connection:
            found = connection.execute(statement.find, statement.parameters).fetchone()[0]
            if found is None or statement.page is None:
                raise _NOT_FOUND
            record = connection.execute(statement.page, (f"[{found}]",)).fetchone()[0]
        return Reply(200, record.encode())

    def update(self, request: Request, version: str, name: str, record_id: str) -> Reply:
        """
        Change a record.

        :param request: The call.
        :param version: API version.
        :param name: The object.
        :param record_id: The record.
        :raises SalesforceError: There is no such object or record, or the values are refused.
        """
        sobject = self.org.schema.get(name)
        values = _values(sobject, request.posted())
        emptied = [field for field, value in values.items() if value in {None, ""} and _needs_value(sobject, field)]
        if emptied:
            message = f"Required fields are missing: [{', '.join(emptied)}]"
            raise SalesforceError(400, "REQUIRED_FIELD_MISSING", message, emptied)
        self.org.update(sobject.name, self._live(sobject, record_id), **values)
        return Reply(204)

    def delete(self, request: Request, version: str, name: str, record_id: str) -> Reply:
        """
        Put a record in the recycle bin.

        :param request: The call.
        :param version: API version.
        :param name: The object.
        :param record_id: The record.
        :raises SalesforceError: There is no such object or record, or it cannot be deleted.
        """
        sobject = self.org.schema.get(name)
        if "isdeleted" not in sobject.by_name:
            message = f"entity type {sobject.name} does not support delete"
            raise SalesforceError(400, "CANNOT_DELETE", message)
        self.org.delete(sobject.name, self._live(sobject, record_id))
        return Reply(204)

    def file(self, request: Request, version: str, name: str, record_id: str, field: str) -> Reply:
        """
        Read a base64 field's content.

        :param request: The call.
        :param version: API version.
        :param name: The object.
        :param record_id: The record.
        :param field: The field.
        :raises SalesforceError: There is no such object, field or record.
        """
        sobject = self.org.schema.get(name)
        described = sobject.by_name.get(field.lower())
        record = self.org.store.find(sobject.name, self._id(record_id))
        if described is None or described.type != "base64" or record is None:
            raise _NOT_FOUND
        return Reply(200, b64decode(record[described.name]), {"Content-Type": "application/octet-stream"})

    def _id(self, text: str) -> str:
        try:
            return to_18(text)
        except ValueError:
            raise _NOT_FOUND from None

    def _live(self, sobject: SObject, text: str) -> str:
        record = self.org.store.find(sobject.name, self._id(text))
        if record is None:
            raise _NOT_FOUND
        if record["IsDeleted"]:
            raise SalesforceError(404, "ENTITY_IS_DELETED", "entity is deleted", [])
        return str(record["Id"])


def _needs_value(sobject: SObject, field: str) -> bool:
    return sobject.by_name[field.lower()].required


def _values(sobject: SObject, posted: dict[str, Any]) -> dict[str, Any]:
    """Return the values of a posted record by the fields' own names, or refuse them."""
    values = {}
    for name, value in posted.items():
        if name == "attributes":
            continue
        field = sobject.by_name.get(name.lower())
        if field is None:
            message = f"No such column '{name}' on sobject of type {sobject.name}"
            raise SalesforceError(400, "INVALID_FIELD", message)
        if not field.writable:
            message = (
                f"Unable to create/update fields: {field.name}. Please check the security settings of this field and"
                " verify that it is read/write for your profile or permission set."
            )
            raise SalesforceError(400, "INVALID_FIELD_FOR_INSERT_UPDATE", message, [field.name])
        values[field.name] = _value(field, value)
    return values


def _value(field: Field, value: Any) -> Any:
    if value is None:
        return None
    if field.type == "boolean":
        return _of_type(field, value, bool)
    if field.type in NUMBERS:
        return float(_of_type(field, value, (int, float)))
    text = _of_type(field, value, str)
    if field.type in {"id", "reference"}:
        return _converted(field, text, to_18, "MALFORMED_ID", f"{field.name}: id value of incorrect type: {text}")
    if field.type in {"date", "datetime"}:
        convert = date_text if field.type == "date" else datetime_text
        message = f"Cannot deserialize instance of {field.type} from VALUE_STRING value {text}"
        return _converted(field, text, convert, "JSON_PARSER_ERROR", message)
    if field.length and len(text) > field.length:
        message = f"{field.name}: data value too large: {text[:255]} (max length={field.length})"
        raise SalesforceError(400, "STRING_TOO_LONG", message, [field.name])
    return text


def _of_type(field: Field, value: Any, kind: type | tuple[type, ...]) -> Any:
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        message = f"Cannot deserialize instance of {field.type} from value {value!r}"
        raise SalesforceError(400, "JSON_PARSER_ERROR", message)
    return value


def _converted(field: Field, text: str, convert: Callable[[str], str], code: str, message: str) -> str:
    try:
        return convert(text)
    except ValueError:
        raise SalesforceError(400, code, message, [field.name]) from None
