from __future__ import annotations

import csv
import io
import time
from typing import TYPE_CHECKING

import pytest

from airflow_provider_salesforce_export.sandbox.bulk_soql import translate_bulk
from airflow_provider_salesforce_export.sandbox.errors import SalesforceError
from airflow_provider_salesforce_export.sandbox.writing import java_double

if TYPE_CHECKING:
    from airflow_provider_salesforce_export.sandbox import SandboxOrg

AWKWARD = [
    'say "hello"',
    "two\nlines",
    "two\r\nlines",
    "one\rreturn",
    "a, comma",
    '","',
    "000123",
    " spaces ",
    "100% %s",
    "Zoë 日本語 🎉 \u2028 \x0b",
    "x" * 131_072,
]


def text(org: SandboxOrg, soql: str, **options: str) -> str:
    """Return the whole CSV of a Bulk job, as it is sent."""
    options = {"delimiter": ",", "line_ending": "\n", **options}
    job = org.bulk_jobs.submit(
        translate_bulk(org.schema, soql, include_deleted=False, **options),
        operation="query",
        delimiter="COMMA",
        line_ending="LF",
        version="62.0",
        created=org.stamp(),
    )
    deadline = time.monotonic() + 60
    while job.state != "JobComplete":
        assert time.monotonic() < deadline
        time.sleep(0.001)
    return b"".join(job.csv(0, job.records)).decode()


def rows(org: SandboxOrg, soql: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text(org, soql), newline="")))


def test_every_value_stands_in_quotes_and_relations_have_dots(org: SandboxOrg) -> None:
    account = org.insert("Account", Name="Acme", IsDeleted=False)
    org.insert("Contact", LastName="Byron", AccountId=account, DoNotCall=True, Title='the "Countess"')
    soql = "SELECT LastName, account.name, Contact.Owner.Alias, DoNotCall, Title, Phone FROM Contact"
    found = text(org, f"{soql} WHERE LastName = 'Byron'").replace(f'"{alias(org)}"', '"me"')

    assert found == (
        '"LastName","Account.Name","Owner.Alias","DoNotCall","Title","Phone"\n'
        '"Byron","Acme","me","true","the ""Countess""",""\n'
    )


def alias(org: SandboxOrg) -> str:
    user = org.store.find("User", org.user_id)
    assert user
    return str(user["Alias"])


def test_nothing_and_empty_text_and_a_missing_relation_look_the_same(org: SandboxOrg) -> None:
    org.insert("Contact", LastName="Nobody", Title=None, Department="")
    soql = "SELECT Title, Department, Account.Name, Account.IsDeleted, Satisfaction__c, Birthdate FROM Contact"

    assert set(rows(org, f"{soql} WHERE LastName = 'Nobody'")[0].values()) == {""}


def test_values_have_the_forms_of_bulk(org: SandboxOrg) -> None:
    stamp = "2026-02-09T01:04:00Z"
    values = {"AnnualRevenue": 99213206.0, "NumberOfEmployees": 12, "SystemModstamp": stamp}
    org.insert("Account", Name="Acme", **values)
    (found,) = rows(org, "SELECT AnnualRevenue, NumberOfEmployees, SystemModstamp FROM Account WHERE Name = 'Acme'")

    assert found == {
        "AnnualRevenue": "9.9213206E7",
        "NumberOfEmployees": "12",
        "SystemModstamp": "2026-02-09T01:04:00.000Z",
    }


@pytest.mark.parametrize(
    ("number", "written"),
    [
        (0.0, "0.0"),
        (80.0, "80.0"),
        (0.125, "0.125"),
        (-1234.5, "-1234.5"),
        (9_999_999.99, "9999999.99"),
        (0.001, "0.001"),
        (0.0005, "5.0E-4"),
        (10_000_000.0, "1.0E7"),
        (-115_056_052.0, "-1.15056052E8"),
        (16_147_805_824_397.0, "1.6147805824397E13"),
    ],
)
def test_numbers_are_written_as_java_writes_them(org: SandboxOrg, number: float, written: str) -> None:
    org.insert("Opportunity", Name="Deal", Amount=number)

    assert rows(org, "SELECT Amount FROM Opportunity WHERE Name = 'Deal'") == [{"Amount": written}]
    assert float(written) == number


def test_the_last_of_fifteen_digits_is_right() -> None:
    assert java_double(123456789012345.0) == "1.23456789012345E14"


def test_awkward_values_survive(org: SandboxOrg) -> None:
    ids = [org.insert("Contact", LastName="Awkward", Description=value) for value in AWKWARD]
    found = rows(org, "SELECT Id, Description FROM Contact WHERE LastName = 'Awkward'")

    assert {row["Id"]: row["Description"] for row in found} == dict(zip(ids, AWKWARD, strict=True))


def test_delimiter_and_line_ending_are_as_asked(org: SandboxOrg) -> None:
    org.insert("Contact", LastName="Byron", FirstName="Ada")
    soql = "SELECT LastName, FirstName FROM Contact WHERE LastName = 'Byron'"

    assert text(org, soql, delimiter="|", line_ending="\r\n") == '"LastName"|"FirstName"\r\n"Byron"|"Ada"\r\n'


def test_order_and_limit_are_kept(org: SandboxOrg) -> None:
    found = [row["Id"] for row in rows(org, "SELECT Id, Account.Name FROM Contact ORDER BY Id LIMIT 200")]

    assert found == sorted(found)
    assert len(found) == 200


@pytest.mark.parametrize(
    ("soql", "code", "message"),
    [
        ("SELECT COUNT() FROM Contact", "API_ERROR", "aggregate functions not supported"),
        ("SELECT MAX(Id) FROM Contact", "API_ERROR", "aggregate functions not supported"),
        ("SELECT LastName FROM Contact GROUP BY LastName", "API_ERROR", "GROUP BY"),
        ("SELECT Id FROM Contact LIMIT 5 OFFSET 5", "API_ERROR", "OFFSET not supported"),
        ("SELECT TYPEOF Parent WHEN Account THEN Phone END FROM Note", "API_ERROR", "TYPEOF not supported"),
        ("SELECT Id, (SELECT Id FROM Contacts) FROM Account", "API_ERROR", "Aggregate Relationships not supported"),
        ("SELECT Id, MailingAddress FROM Contact", "API_ERROR", "Selecting compound data not supported in Bulk Query"),
        ("SELECT Id, Account.BillingAddress FROM Contact", "API_ERROR", "Selecting compound data"),
        ("SELECT Id, Place__c FROM Account", "API_ERROR", "Selecting compound data"),
        ("SELECT Body FROM Attachment", "FEATURENOTENABLED", "Binary field not supported"),
        ("SELECT Foo FROM Contact", "API_ERROR", "No such column 'Foo' on entity 'Contact'"),
        ("SELECT Id, Id FROM Contact", "API_ERROR", "duplicate field selected: Id"),
        ("SELECT Id FROM Nothing", "API_ERROR", "sObject type 'Nothing' is not supported"),
        ("SELECT Id FROM", "API_ERROR", "unexpected token"),
        ("", "API_ERROR", "unexpected token"),
    ],
)
def test_what_bulk_refuses(org: SandboxOrg, soql: str, code: str, message: str) -> None:
    with pytest.raises(SalesforceError) as caught:
        translate_bulk(org.schema, soql, include_deleted=False, delimiter=",", line_ending="\n")
    assert (caught.value.status, caught.value.code) == (400, code)
    assert message in caught.value.message
