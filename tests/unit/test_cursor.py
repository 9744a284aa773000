import pytest

from airflow_provider_salesforce_export.exceptions import ConfigurationError
from airflow_provider_salesforce_export.export.cursor import choose_cursor_field
from airflow_provider_salesforce_export.object_types import ObjectType


def described(**fields):
    return {
        "fields": [
            {"name": name, "type": kind.rstrip("!"), "filterable": not kind.endswith("!")}
            for name, kind in fields.items()
        ]
    }


AUDIT = {"SystemModstamp": "datetime", "LastModifiedDate": "datetime", "CreatedDate": "datetime", "Name": "string"}


@pytest.mark.parametrize(
    ("missing", "chosen"),
    [
        ([], "SystemModstamp"),
        (["SystemModstamp"], "LastModifiedDate"),
        (["SystemModstamp", "LastModifiedDate"], "CreatedDate"),
    ],
)
def test_the_next_best_audit_field_is_chosen_and_named(missing, chosen, caplog):
    fields = {name: kind for name, kind in AUDIT.items() if name not in missing}

    assert choose_cursor_field(ObjectType("x", "X", ()), described(**fields)) == chosen
    assert (f"reading by {chosen}" in caplog.text) == bool(missing)


def test_a_field_of_ones_own_is_taken_as_salesforce_spells_it():
    object_type = ObjectType("x", "X", (), cursor_field="touched__c")

    assert choose_cursor_field(object_type, described(**AUDIT, Touched__c="datetime")) == "Touched__c"


@pytest.mark.parametrize("kind", ["date", "string", "datetime!"])
def test_a_field_that_cannot_choose_is_refused_and_never_replaced(kind):
    object_type = ObjectType("x", "X", (), cursor_field="Touched__c")

    with pytest.raises(ConfigurationError, match=r"by 'Touched__c'.*It sees: CreatedDate, LastModifiedDate, SystemM"):
        choose_cursor_field(object_type, described(**AUDIT, Touched__c=kind))


def test_an_sobject_without_any_is_refused():
    with pytest.raises(ConfigurationError, match=r"It sees: none.*mode='full'"):
        choose_cursor_field(ObjectType("x", "X", ()), described(Name="string"))
