from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from airflow_provider_salesforce_export.sandbox.errors import SalesforceError
from airflow_provider_salesforce_export.sandbox.translate import translate

if TYPE_CHECKING:
    from airflow_provider_salesforce_export.sandbox import SandboxOrg


def query(org: SandboxOrg, soql: str, *, include_deleted: bool = False) -> Any:
    """Return the records of a query, or what COUNT() says."""
    statement = translate(org.schema, soql, "68.0", include_deleted=include_deleted)
    with org.store.reading() as connection:
        found = connection.execute(statement.find, statement.parameters).fetchone()
        if statement.is_count:
            return found[0]
        records = found[0]
        if statement.page is not None:
            records = connection.execute(statement.page, (f"[{found[0] or ''}]",)).fetchone()[0]
    return msgspec.json.decode(f"[{records or ''}]")


def names(org: SandboxOrg, where: str) -> set[str]:
    return {row["LastName"] for row in query(org, f"SELECT LastName FROM Contact WHERE Title = 'X' AND ({where})")}


@pytest.fixture
def people(org: SandboxOrg) -> SandboxOrg:
    """Three contacts with the title X and known values."""
    account = org.insert("Account", Name="Acme")
    org.insert("Contact", Title="X", LastName="O'Brien", Birthdate="2000-01-01", DoNotCall=True, AccountId=account)
    org.insert("Contact", Title="X", LastName="back\\slash", Satisfaction__c=2.5, Phone="1")
    org.insert("Contact", Title="X", LastName="Ümit 100%", SystemModstamp="2026-01-01T00:00:00Z", Phone="2")
    return org


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        (r"LastName = 'O\'Brien'", {"O'Brien"}),
        (r"LastName = 'o\'BRIEN'", {"O'Brien"}),
        (r"LastName = 'back\\slash'", {"back\\slash"}),
        (r"LastName LIKE '%100\%'", {"Ümit 100%"}),
        ("LastName LIKE 'O_B%'", {"O'Brien"}),
        ("Phone != '1'", {"O'Brien", "Ümit 100%"}),
        ("NOT (Phone = '1')", {"O'Brien", "Ümit 100%"}),
        ("Phone NOT IN ('1', '2')", {"O'Brien"}),
        ("Phone IN ('1', '2')", {"back\\slash", "Ümit 100%"}),
        ("Phone = null", {"O'Brien"}),
        ("Phone <> NULL", {"back\\slash", "Ümit 100%"}),
        ("DoNotCall = TRUE", {"O'Brien"}),
        ("Satisfaction__c > -1.5 AND Satisfaction__c <= 2.5", {"back\\slash"}),
        ("Birthdate < 2000-01-02", {"O'Brien"}),
        ("Birthdate = 2000-01-01 OR Phone = '2'", {"O'Brien", "Ümit 100%"}),
        ("SystemModstamp = 2026-01-01T01:00:00.000+01:00", {"Ümit 100%"}),
        ("SystemModstamp <= 2026-01-01T00:00:00Z", {"Ümit 100%"}),
        ("LastName != '2026-01-01T00:00:00Z' AND Phone = '2'", {"Ümit 100%"}),
        ("Account.Name = 'ACME'", {"O'Brien"}),
        ("Contact.Account.Name = null", {"back\\slash", "Ümit 100%"}),
    ],
)
def test_where(people: SandboxOrg, where: str, expected: set[str]) -> None:
    assert names(people, where) == expected


def test_relations_nest_and_may_be_null(people: SandboxOrg) -> None:
    soql = (
        "SELECT lastname, Account.Owner.Alias, Contact.Owner.Alias FROM Contact WHERE Title = 'X' ORDER BY Id LIMIT 2"
    )
    first, second = query(people, soql)
    assert first["LastName"] == "O'Brien"
    assert first["Account"]["attributes"]["type"] == "Account"
    assert first["Account"]["Owner"]["Alias"] == first["Owner"]["Alias"]
    assert second["Account"] is None


def test_values_have_salesforces_forms(people: SandboxOrg) -> None:
    soql = "SELECT FIELDS_ FROM Contact WHERE Title = 'X' AND Phone = '2'".replace(
        "FIELDS_", "Id, DoNotCall, Birthdate, Satisfaction__c, SystemModstamp, MailingAddress, MailingCity"
    )
    (record,) = query(people, soql)
    assert record["attributes"]["url"] == f"/services/data/v68.0/sobjects/Contact/{record['Id']}"
    assert record["DoNotCall"] is False
    assert record["Birthdate"] is None
    assert record["SystemModstamp"] == "2026-01-01T00:00:00.000+0000"
    assert record["MailingAddress"] is None


def test_a_compound_field_holds_its_parts_and_is_null_without_them(org: SandboxOrg) -> None:
    org.insert("Account", Name="Here", Place__Latitude__s=52.5, Place__Longitude__s=-13.25, BillingCity="Rome")
    org.insert("Account", Name="Nowhere")
    soql = "SELECT Place__c, BillingAddress FROM Account WHERE Name IN ('Here', 'Nowhere') ORDER BY Name"
    here, nowhere = query(org, soql)

    assert here["Place__c"] == {"latitude": 52.5, "longitude": -13.25}
    assert here["BillingAddress"]["city"] == "Rome"
    assert (nowhere["Place__c"], nowhere["BillingAddress"]) == (None, None)


def test_count_leaves_the_recycle_bin_out(org: SandboxOrg) -> None:
    assert query(org, "SELECT COUNT() FROM Contact") == 300
    assert query(org, "SELECT COUNT() FROM Contact", include_deleted=True) == 303
    assert query(org, "SELECT COUNT() FROM Contact WHERE IsDeleted = true", include_deleted=True) == 3
    assert query(org, "SELECT COUNT() FROM Contact LIMIT 7") == 7


def test_aggregates(org: SandboxOrg) -> None:
    (record,) = query(org, "SELECT COUNT(Id), MIN(Id) lowest, MAX(Name) FROM Contact")
    ids = [row["Id"] for row in query(org, "SELECT Id FROM Contact")]
    assert record["attributes"] == {"type": "AggregateResult"}
    assert (record["expr0"], record["lowest"]) == (300, min(ids))
    assert set(record) == {"attributes", "expr0", "lowest", "expr1"}


def test_group_by(org: SandboxOrg) -> None:
    groups = query(org, "SELECT StageName, COUNT(Id) n FROM Opportunity GROUP BY StageName ORDER BY StageName DESC")
    assert sum(group["n"] for group in groups) == 60
    stages = [group["StageName"] for group in groups]
    assert stages == sorted(stages, reverse=True)


def test_nulls_come_first_in_either_order_unless_asked(org: SandboxOrg) -> None:
    for order in ("Phone", "Phone DESC"):
        assert query(org, f"SELECT Phone FROM Contact ORDER BY {order} LIMIT 1")[0]["Phone"] is None
        assert query(org, f"SELECT Phone FROM Contact ORDER BY {order} NULLS LAST LIMIT 1")[0]["Phone"]


def test_no_order_is_not_the_order_of_ids_but_always_the_same(org: SandboxOrg) -> None:
    ids = [row["Id"] for row in query(org, "SELECT Id FROM Contact WHERE Id > '003000000000000'")]
    assert ids != sorted(ids)
    assert ids == [row["Id"] for row in query(org, "SELECT Id FROM Contact")]


def test_ids_compare_by_15_characters(org: SandboxOrg) -> None:
    ids = sorted(row["Id"] for row in query(org, "SELECT Id FROM Contact"))
    for middle in (ids[100], ids[100][:15]):
        assert query(org, f"SELECT COUNT() FROM Contact WHERE Id > '{middle}'") == 199
        assert query(org, f"SELECT COUNT() FROM Contact WHERE Id <= '{middle}'") == 101
        assert query(org, f"SELECT COUNT() FROM Contact WHERE Id = '{middle}'") == 1
    assert query(org, f"SELECT COUNT() FROM Contact WHERE Id = '{ids[100][:15].swapcase()}'") == 0


@pytest.mark.parametrize(
    ("soql", "code", "message"),
    [
        ("SELECT Id FROM", "MALFORMED_QUERY", "ERROR at Row:1:Column:15\nunexpected token: '<EOF>'"),
        ("", "MALFORMED_QUERY", "unexpected token"),
        ("SELECT Id,, Name FROM Contact", "MALFORMED_QUERY", "Column:11\nunexpected token: ','"),
        ("SELECT Id, FROM Contact", "MALFORMED_QUERY", "Column:12\nunexpected token: 'FROM'"),
        ("SELECT Id FROM Contact WHERE", "MALFORMED_QUERY", "'<EOF>'"),
        ("SELECT Id FROM Contact WHERE Name = 'x", "MALFORMED_QUERY", "'<EOF>'"),
        ("SELECT Id FROM Contact WHERE Name = 'x' NONSENSE HERE", "MALFORMED_QUERY", "'NONSENSE'"),
        ("SELECT * FROM Contact", "MALFORMED_QUERY", "'*'"),
        ("SELECT DISTINCT Name FROM Contact", "MALFORMED_QUERY", "'DISTINCT'"),
        ('SELECT "Id" FROM Contact', "MALFORMED_QUERY", "unexpected token"),
        ("SELECT Id, Id FROM Contact", "MALFORMED_QUERY", "duplicate field selected: Id"),
        ("SELECT Id FROM Contact, Account", "MALFORMED_QUERY", "unexpected token"),
        ("DELETE FROM Contact", "MALFORMED_QUERY", "'DELETE'"),
        ("SELECT Id FROM Contact; SELECT Id FROM Note", "MALFORMED_QUERY", "unexpected token"),
        ("SELECT Id FROM Contact LIMIT x", "MALFORMED_QUERY", "'x'"),
        ("SELECT Name, COUNT(Id) FROM Contact", "MALFORMED_QUERY", "must be grouped or aggregated: Name"),
        ("SELECT Id FROM Contact ORDER BY Description", "MALFORMED_QUERY", "can not be sorted"),
        ("SELECT Id FROM Contact WHERE CreatedDate = 2026-13-01T00:00:00Z", "MALFORMED_QUERY", "2026-13-01"),
        ("SELECT Id, Foo FROM Contact", "INVALID_FIELD", "Column:12\nNo such column 'Foo' on entity 'Contact'."),
        ("SELECT Foo.Name FROM Contact", "INVALID_FIELD", "Didn't understand relationship 'Foo'"),
        ("SELECT Account.Foo FROM Contact", "INVALID_FIELD", "No such column 'Foo' on entity 'Account'."),
        ("SELECT Id FROM Contact WHERE Description = 'x'", "INVALID_FIELD", "can not be filtered"),
        ("SELECT Id FROM Contact WHERE CreatedDate = '2026-01-01'", "INVALID_FIELD", "must be of type dateTime"),
        ("SELECT Id FROM Contact WHERE CreatedDate > 2026-01-01", "INVALID_FIELD", "must be of type dateTime"),
        ("SELECT Id FROM Contact WHERE Name = 5", "INVALID_FIELD", "must be of type string"),
        ("SELECT Id FROM Foo", "INVALID_TYPE", "Column:16\nsObject type 'Foo' is not supported."),
        ("SELECT Id FROM Contact WHERE Id = 'x'", "INVALID_QUERY_FILTER_OPERATOR", "invalid ID field: x"),
        (
            "SELECT Id FROM Contact WHERE Id > '0035g0000000000AAB'",
            "INVALID_QUERY_FILTER_OPERATOR",
            "invalid ID field: 0035g0000000000AAB",
        ),
        ("SELECT Id FROM Contact WHERE Id LIKE '003%'", "INVALID_QUERY_FILTER_OPERATOR", "invalid operator"),
        (
            "SELECT Id FROM Contact LIMIT 5 OFFSET 2001",
            "NUMBER_OUTSIDE_VALID_RANGE",
            "Maximum SOQL offset allowed is 2000",
        ),
    ],
)
def test_what_salesforce_refuses(org: SandboxOrg, soql: str, code: str, message: str) -> None:
    with pytest.raises(SalesforceError) as caught:
        query(org, soql)
    assert (caught.value.status, caught.value.code) == (400, code)
    assert message in caught.value.message


def test_offset_of_2000_is_allowed(org: SandboxOrg) -> None:
    assert query(org, "SELECT Id FROM Contact ORDER BY Id LIMIT 5 OFFSET 2000") == []
    assert len(query(org, "SELECT Id FROM Contact ORDER BY Id LIMIT 50 OFFSET 290")) == 10
