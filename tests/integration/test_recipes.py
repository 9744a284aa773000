"""What the recipes of docs/recipes.md do, against an org; only the destination of each is replaced."""

import json
import os
import subprocess
import sys
from datetime import datetime, timedelta, timezone
from xml.etree import ElementTree

import pytest
from airflow.dag_processing.dagbag import DagBag

from tests.integration.conftest import Export, published
from tests.recipes import RECIPES, write_recipe

NOON = datetime(2026, 11, 18, 12, tzinfo=timezone.utc)
HOUR = timedelta(hours=1)

OFFLINE = "Test a DAG offline"

executed = {OFFLINE}


def recipe(title):
    """Have a test look at what the one DAG of a recipe does."""
    executed.add(title)
    return pytest.mark.parametrize("dag", [pytest.param(title, id=title)], indirect=True)


@pytest.fixture
def dag(request, tmp_path):
    """The DAG of a recipe as Airflow parses it; its destination lies below ``lake``."""
    (path,) = write_recipe(request.param, tmp_path)
    path.write_text(path.read_text().replace("file:///data/salesforce", (tmp_path / "lake").as_uri()))
    bag = DagBag(dag_folder=str(path))
    assert bag.import_errors == {}
    (dag,) = bag.dags.values()
    return dag


@pytest.fixture
def lake(tmp_path):
    return tmp_path / "lake"


@pytest.fixture
def org(salesforce_org, salesforce_connection):
    """An org that the default connection leads to."""
    return salesforce_org


@pytest.fixture
def orgs(start_salesforce_org, connect_salesforce_org):
    """Two orgs, each with a connection and an app of its own, and with other contacts."""
    orgs = {
        name: start_salesforce_org(contacts=contacts, seed=contacts, client_id=f"app-of-{name}")
        for name, contacts in {"emea": 30, "apac": 20}.items()
    }
    for name, org in orgs.items():
        connect_salesforce_org(org, f"salesforce_{name}")
    return orgs


def names(export):
    return sorted(record["Name"] for page in export.pages for record in page["data"])


@recipe("Any sObject in three lines")
def test_any_sobject(dag, org, run_dag, lake):
    org.insert("Account", Name="Acme", Industry="Energy")

    assert run_dag(dag).state == "success"

    export = published(lake, "accounts")
    (acme,) = [record for record in export.pages[0]["data"] if record["Name"] == "Acme"]
    assert acme.keys() == {"Id", "Name", "Industry", "Owner", "SystemModstamp"}
    assert acme["Industry"] == "Energy"
    assert acme["Owner"]["Alias"]


@recipe("A query of your own")
def test_a_query(dag, org, run_dag, lake):
    for stage, amount in [("Closed Won", 5000), ("Closed Won", 10), ("Closed Lost", 5000)]:
        org.insert("Opportunity", Name=f"{stage} {amount}", StageName=stage, Amount=amount, CloseDate="2026-11-01")

    assert run_dag(dag).state == "success"

    (page,) = lake.glob("won_deals/*/page-*.csv")
    header, *rows = page.read_text().splitlines()
    assert header == "Id,Name,Amount,CloseDate,Account.Name,SystemModstamp"
    assert [row.split(",")[1] for row in rows] == ["Closed Won 5000"]


@recipe("A loop over object types")
def test_a_loop(dag, org, run_dag, lake):
    org.insert("Contact", LastName="Stays")
    org.insert("Contact", LastName="Leaves", HasOptedOutOfEmail=True)
    org.insert("Opportunity", Name="Deal", StageName="Prospecting", CloseDate="2026-11-01")

    assert run_dag(dag).state == "success"

    assert names(published(lake, "contacts")) == ["Leaves", "Stays"]
    assert names(published(lake, "deals")) == ["Deal"]
    assert names(published(lake, "leavers")) == ["Leaves"]
    assert published(lake, "accounts").manifest["rows"] == 1
    assert {"BillingCity", "AnnualRevenue"} <= set(published(lake, "accounts").manifest["fields"])


@recipe("Several orgs, one mapped task")
def test_several_orgs_in_one_mapped_task(dag, orgs, run_dag, lake):
    run = run_dag(dag)

    assert run.state == "success"
    assert dag.task_dict["contacts"].doc_md.startswith("Exports the contacts")
    assert {task.rendered_map_index for task in run.get_task_instances()} == {"salesforce_emea", "salesforce_apac"}
    assert_each_org_is_exported(lake, orgs)


@recipe("Several orgs, a group each")
def test_several_orgs_with_a_group_each(dag, orgs, run_dag, lake):
    assert run_dag(dag).state == "success"
    assert_each_org_is_exported(lake, orgs)


def assert_each_org_is_exported(lake, orgs):
    for name, org in orgs.items():
        with org.store.reading() as connection:
            rows = connection.execute("SELECT Name FROM Contact WHERE IsDeleted = 0")
            expected = sorted(row[0] for row in rows)
        assert names(published(lake / name)) == expected
        assert len(expected) == org.settings.contacts


@recipe("Working on with what was exported")
def test_what_was_exported_is_worked_on(dag, org, run_dag):
    for name in ("Lovelace", "Gödel"):
        org.insert("Contact", LastName=name)

    run = run_dag(dag)

    assert run.state == "success"
    assert sorted(run.get_task_instance("names_of").xcom_pull(task_ids="names_of")) == ["Gödel", "Lovelace"]
    summary = run.get_task_instance("names_of").xcom_pull(task_ids="contacts.publish")
    described = {"object_type", "rows", "count", "pages", "bytes", "api_calls", "repairs", "folder", "manifest"}
    assert described <= summary.keys()


@recipe("The hook in a task of your own")
def test_the_hook(dag, org, run_dag):
    forgotten = org.insert("Opportunity", Name="Old", StageName="Prospecting", CloseDate="2025-06-01")
    current = org.insert("Opportunity", Name="New", StageName="Prospecting", CloseDate="2026-06-01")

    run = run_dag(dag)

    assert run.state == "success"
    assert run.get_task_instance("close_forgotten_deals").xcom_pull(task_ids="close_forgotten_deals") == 1
    assert org.store.find("Opportunity", forgotten)["StageName"] == "Closed Lost"
    assert org.store.find("Opportunity", current)["StageName"] == "Prospecting"


@recipe("Only what changed")
def test_only_what_changed(dag, org, run_dag, lake):
    moments = {
        "before": NOON - timedelta(minutes=31),
        "looked back at": NOON - timedelta(minutes=29),
        "in the hour": NOON + timedelta(minutes=59),
        "after": NOON + HOUR,
    }
    for name, moment in moments.items():
        org.insert("Contact", LastName=name, SystemModstamp=moment)

    assert run_dag(dag, logical_date=NOON + HOUR + timedelta(minutes=5)).state == "success"

    (manifest,) = lake.glob("contacts/2026-11-18T*/manifest.json")
    assert names(Export(manifest.parent)) == ["in the hour", "looked back at"]

    assert run_dag(dag, run_conf={"full_refresh": True}).state == "success"
    (manifest,) = set(lake.glob("contacts/*/manifest.json")) - {manifest}
    assert len(names(Export(manifest.parent))) == len(moments)


def test_only_what_changed_is_read_ten_minutes_after_the_hour(tmp_path):
    (path,) = write_recipe("Only what changed", tmp_path)
    (dag,) = DagBag(dag_folder=str(path)).dags.values()

    assert dag.task_dict["contacts.count"].settle == timedelta(minutes=10)


@recipe("A form for whoever triggers it")
def test_a_form(dag, org, run_dag, lake):
    account = org.insert("Account", Name="Acme")
    org.insert("Contact", LastName="Stays", AccountId=account)
    org.delete("Contact", org.insert("Contact", LastName="Goes", AccountId=account))

    assert run_dag(dag).state == "success"
    assert names(published(lake)) == ["Stays"]

    chosen = {"page_size": 1, "output_format": "jsonl", "include_deleted": True, "flatten": True}
    elsewhere = lake / "elsewhere"
    assert run_dag(dag, run_conf=chosen | {"destination": elsewhere.as_uri()}).state == "success"
    pages = sorted(elsewhere.glob("contacts/*/page-*.jsonl"))
    rows = [json.loads(page.read_text()) for page in pages]
    assert [(row["Name"], row["IsDeleted"], row["Account.Name"]) for row in rows] == [
        ("Stays", False, "Acme"),
        ("Goes", True, "Acme"),
    ]


def test_the_tests_of_a_dag_author_pass_and_can_fail(mongo_uri, tmp_path):
    dag, _, tests = write_recipe(OFFLINE, tmp_path)

    assert outcomes(tests, mongo_uri) == {
        "test_a_contact_arrives": "passed",
        "test_a_session_that_ends_and_a_server_that_is_away_for_a_moment": "passed",
        "test_an_org_of_another_size": "passed",
        "test_a_refused_login_fails_the_run": "passed",
    }

    dag.write_text(dag.read_text().replace('"contacts", destination', '"deals", destination'))
    assert outcomes(tests, mongo_uri, "-k", "arrives") == {"test_a_contact_arrives": "failed"}


def outcomes(tests, mongo_uri, *arguments):
    """Run tests in a process of their own, which knows the fixtures by the entry point alone; return how they end."""
    root = tests.parents[1]
    report = root / "report.xml"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", f"--junit-xml={report}", *arguments, str(tests)],
        cwd=root,
        env={name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
        | {"MONGO_URI": mongo_uri},
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert report.exists(), done.stdout + done.stderr
    cases = ElementTree.parse(report).iter("testcase")
    return {case.get("name"): case[0].tag.replace("failure", "failed") if len(case) else "passed" for case in cases}


def test_every_recipe_is_executed():
    assert executed == set(RECIPES)
