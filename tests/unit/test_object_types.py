from dataclasses import replace

import pytest

from airflow_provider_salesforce_export import CONTACTS, NOTES, ObjectType
from airflow_provider_salesforce_export.exceptions import ConfigurationError, UnknownObjectTypeError
from airflow_provider_salesforce_export.object_types import resolve_object_type


def test_a_name_of_the_catalogue_becomes_its_object_type():
    assert resolve_object_type("contacts") is CONTACTS


def test_an_object_type_of_ones_own_stays_as_it_is():
    invoices = ObjectType("invoices", "Invoice__c", ("Name", "Total__c"))

    assert resolve_object_type(invoices) is invoices


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(UnknownObjectTypeError, match=r"'contact'.*contacts, deals, notes"):
        resolve_object_type("contact")


def test_id_and_cursor_are_always_read_and_never_twice():
    object_type = ObjectType("users", "User", ("id", "Name", "SystemModstamp"))

    assert object_type.all_fields() == ("id", "Name", "SystemModstamp")
    assert object_type.all_fields(include_deleted=True) == ("id", "Name", "SystemModstamp", "IsDeleted")
    assert NOTES.all_fields(include_deleted=True) == NOTES.all_fields()
    assert object_type.optional_fields(include_deleted=True) == ("IsDeleted",)
    assert NOTES.optional_fields(include_deleted=True) == ("SystemModstamp",)
    assert replace(NOTES, fields=("SYSTEMMODSTAMP",), cursor_field="Touched__c").optional_fields() == ()
    assert CONTACTS.all_fields()[0] == "Id"
    assert CONTACTS.all_fields()[-1] == "SystemModstamp"


@pytest.mark.parametrize(
    "arguments",
    [
        {"name": "../up", "sobject": "Contact", "fields": ("Name",)},
        {"name": "a/b", "sobject": "Contact", "fields": ("Name",)},
        {"name": "contacts", "sobject": "Contact WHERE", "fields": ("Name",)},
        {"name": "contacts", "sobject": "Contact", "fields": ("Name FROM User",)},
        {"name": "contacts", "sobject": "Contact", "fields": "Name"},
        {"name": "contacts", "sobject": "Contact", "fields": ("Name",), "cursor_field": "x y"},
    ],
)
def test_what_salesforce_could_not_know_is_refused(arguments):
    with pytest.raises(ConfigurationError):
        ObjectType(**arguments)


def test_a_query_becomes_an_object_type():
    object_type = ObjectType.from_soql(
        "vips", "select Id, Account.Name\nfrom Contact where Title = 'Head of FROM and LIMIT' AND Email != null"
    )

    assert ObjectType.from_soql("vips", "SELECT Id FROM Contact WHERE Name != null;").where == "Name != null"
    assert object_type.sobject == "Contact"
    assert object_type.fields == ("Id", "Account.Name")
    assert object_type.where == "Title = 'Head of FROM and LIMIT' AND Email != null"


@pytest.mark.parametrize(
    ("soql", "named"),
    [
        ("SELECT Id FROM Contact ORDER BY Name", "ORDER BY"),
        ("SELECT Id FROM Contact LIMIT 5", "LIMIT"),
        ("SELECT Id FROM Contact order by Id", "order by"),
        ("SELECT Id FROM Contact WHERE Name != null LIMIT 5", "LIMIT"),
        ("SELECT Id FROM Contact WHERE Name != null WITH SECURITY_ENFORCED", "WITH"),
        ("SELECT Id FROM Contact ALL ROWS", "ALL ROWS in .* include_deleted"),
        ("SELECT Id FROM Contact WHERE Name != null FOR REFERENCE", "FOR REFERENCE"),
        ("SELECT Id FROM Contact USING SCOPE mine", "USING SCOPE"),
        ("SELECT FIELDS(ALL) FROM Contact", "fields='all'"),
        ("SELECT Id, (SELECT Id FROM Cases) FROM Account", "field path"),
        ("SELECT c.Id FROM Contact c", "without alias"),
        ("DELETE FROM Contact", "SELECT"),
    ],
)
def test_a_query_that_orders_or_cuts_is_refused(soql, named):
    with pytest.raises(ConfigurationError, match=named):
        ObjectType.from_soql("vips", soql)


@pytest.mark.parametrize(
    ("where", "named"),
    [
        ("Name != null LIMIT 5", "LIMIT"),
        ("where\nName != null", "without the word WHERE"),
        (" ", "None for all records"),
        ("LastModifiedDate > {{ ds }}", "mode='incremental'"),
    ],
)
def test_what_is_no_condition_is_refused(where, named):
    with pytest.raises(ConfigurationError, match=named):
        ObjectType("vips", "Contact", ("Name",), where=where)


def test_a_text_in_a_condition_may_hold_anything():
    where = "Name = 'WHERE {{ ds }} LIMIT 5'"

    assert ObjectType("vips", "Contact", ("Name",), where=where).where == where
