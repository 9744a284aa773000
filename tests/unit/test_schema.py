"""What the fields of an export become by Salesforce's describe call."""

import pytest

from airflow_provider_salesforce_export.exceptions import ConfigurationError
from airflow_provider_salesforce_export.export.schema import Column, Schema, resolve_schema
from airflow_provider_salesforce_export.sandbox.objects import OBJECTS
from airflow_provider_salesforce_export.sandbox.schema import Schema as SandboxSchema


class Describing:
    """An org that only describes; ``asked`` tells what."""

    def __init__(self, *hidden):
        self._schema = SandboxSchema(OBJECTS, hidden)
        self.asked = []

    def describe(self, sobject):
        self.asked.append(sobject)
        return self._schema.get(sobject).describe("62.0")


def test_names_are_spelled_as_salesforce_does_and_come_once_in_the_order_asked_for():
    schema = resolve_schema(Describing().describe, "contact", ("ID", "contact.lastname", "LastName", "systemmodstamp"))

    assert schema.columns == (
        Column("Id", "id"),
        Column("LastName", "string"),
        Column("SystemModstamp", "datetime"),
    )


def test_numbers_have_their_digits():
    schema = resolve_schema(Describing().describe, "Opportunity", ("Amount",))

    assert schema.columns == (Column("Amount", "currency", precision=18, scale=2),)


def test_one_call_describes_the_sobject_whatever_relations_are_read():
    org = Describing()

    schema = resolve_schema(org.describe, "Contact", ("account.owner.Alias", "Contact.OWNER.Alias", "Account.Name"))

    assert schema.columns == (Column("Account.owner.Alias"), Column("Owner.Alias"), Column("Account.Name"))
    assert org.asked == ["Contact"]


def test_parents_are_described_once_each_where_their_types_are_needed():
    org = Describing()

    schema = resolve_schema(
        org.describe,
        "Contact",
        ("account.owner.alias", "owner.isactive", "account.annualrevenue"),
        with_parents=True,
    )

    assert schema.columns == (
        Column("Account.Owner.Alias", "string"),
        Column("Owner.IsActive", "boolean"),
        Column("Account.AnnualRevenue", "currency", precision=18, scale=2),
    )
    assert sorted(org.asked) == ["Account", "Contact", "User"]


def test_a_relation_that_leads_to_several_sobjects_has_the_fields_of_name():
    described = {
        "Note": {"fields": [{"name": "ParentId", "relationshipName": "Parent", "referenceTo": ["Account", "Contact"]}]},
        "Name": {"fields": [{"name": "Name", "type": "string", "precision": 0, "scale": 0, "calculated": False}]},
    }

    class Org:
        describe = staticmethod(described.__getitem__)

    schema = resolve_schema(Org.describe, "Note", ("parent.name",), with_parents=True)

    assert schema.columns == (Column("Parent.Name", "string"),)


@pytest.mark.parametrize("with_parents", [False, True])
def test_all_that_is_missing_or_hidden_is_named_at_once(with_parents):
    org = Describing("Contact.Email", "Account.Industry")
    fields = ("Name", "Email", "Nmae", "Acount.Name", "Account.Industry", "IsDeleted")

    with pytest.raises(ConfigurationError) as error:
        resolve_schema(org.describe, "Contact", fields, with_parents=with_parents)

    named = "Email, Nmae, Acount.Name" + (", Account.Industry" if with_parents else "")
    assert f"Contact has no field {named}, or the user may not see it" in str(error.value)


def test_all_fields_are_those_that_a_query_reads_one_by_one():
    schema = resolve_schema(Describing("Account.Phone").describe, "Account", ("Id", "*", "Owner.Alias"))

    assert schema.paths[:5] == ("Id", "IsDeleted", "Name", "Type", "Industry")
    assert schema.paths[-1] == "Owner.Alias"
    assert {"BillingCity", "SystemModstamp"} < set(schema.paths)
    assert not {"BillingAddress", "Phone"} & set(schema.paths)
    reason = "compound field: its parts are columns of their own"
    assert schema.left_out == {"BillingAddress": reason, "Place__c": reason}
    assert set(resolve_schema(Describing().describe, "Attachment", ("*",)).left_out) == {"Body"}


def test_what_is_added_without_being_asked_for_is_left_out_where_the_sobject_has_none():
    added = ("SystemModstamp", "IsDeleted")
    org = Describing("User.SystemModstamp")

    schema = resolve_schema(org.describe, "User", ("Id", *added), optional=added)

    assert schema.paths == ("Id",)
    assert set(schema.left_out) == set(added)
    with pytest.raises(ConfigurationError, match="no field IsDeleted, or"):
        resolve_schema(org.describe, "User", ("Id", *added), optional=("SystemModstamp",))


def test_the_hash_is_of_the_columns():
    amount = Column("Amount", "currency", 18, 2)

    assert Schema((amount,)).hash() == Schema((amount,), {"Body": "a file"}).hash()
    assert Schema((amount,)).hash() != Schema((Column("Amount", "currency", 18, 3),)).hash()


def test_the_hash_heeds_the_types_of_relations_where_they_are_always_looked_up():
    types = (("currency", 18, 2), ("currency", 18, 4), ())
    revenue, changed, unknown = (Column("Account.AnnualRevenue", *type_) for type_ in types)

    assert Schema((revenue,)).hash() == Schema((unknown,)).hash()
    assert Schema((revenue,)).hash(with_parents=True) != Schema((changed,)).hash(with_parents=True)
