"""The assets of an export: what a DAG author names, and what Airflow's DAG processor is told."""

import subprocess
import sys

import pytest
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, Asset, AssetAlias
from airflow.serialization.serialized_objects import DagSerialization

from airflow_provider_salesforce_export import (
    ObjectType,
    SalesforceExportOperator,
    SalesforceExportTaskGroup,
    export_asset,
)
from airflow_provider_salesforce_export.assets import salesforce_asset
from airflow_provider_salesforce_export.exceptions import UnknownObjectTypeError
from airflow_provider_salesforce_export.operators.publish import SalesforceExportPublishOperator

VIPS = ObjectType("vips", "Contact", ("Name",))


@pytest.mark.parametrize(
    ("destination", "uri"),
    [
        ("file:///data/salesforce", "file:///data/salesforce/contacts"),
        ("/data/salesforce/", "file:///data/salesforce/contacts"),
        ("s3://lake", "s3://lake/contacts"),
        ("s3://aws_default@lake/salesforce", "s3://lake/salesforce/contacts"),
        ("gs://lake/salesforce/", "gs://lake/salesforce/contacts"),
        ("abfs://container/salesforce", "abfs://container/salesforce/contacts"),
    ],
)
def test_the_asset_is_the_folder_of_all_runs_of_an_export(destination, uri):
    assert export_asset("contacts", destination) == Asset(uri)
    with DAG("nightly"):
        assert SalesforceExportTaskGroup("contacts", destination=destination).asset == Asset(uri)
        operator = SalesforceExportOperator(task_id="export", object_type="contacts", destination=destination)
    assert operator.asset == Asset(uri)


def test_any_object_type_has_an_asset_and_an_unknown_name_has_none():
    assert export_asset(VIPS, "s3://lake").uri == "s3://lake/vips"
    with pytest.raises(UnknownObjectTypeError, match="kontakte"):
        export_asset("kontakte", "s3://lake")


def test_a_destination_that_is_a_template_has_an_alias():
    destination = "{{ params.destination }}"
    with DAG("nightly"):
        group = SalesforceExportTaskGroup("contacts", destination=destination)

    assert group.asset == export_asset("contacts", destination) == AssetAlias("{{ params.destination }}/contacts")


def assets_of(dag, task_id):
    """Return inlets and outlets as Airflow stores them of a DAG."""
    task = DagSerialization.deserialize_dag(DagSerialization.serialize_dag(dag)).get_task(task_id)
    return [asset.uri for asset in task.inlets], [getattr(asset, "uri", asset.name) for asset in task.outlets]


def test_airflow_knows_what_a_task_reads_and_fills():
    given = Asset("file:///data/report")
    with DAG("nightly") as dag:
        SalesforceExportTaskGroup(VIPS, destination="s3://lake", salesforce_conn_id="Acme")
        SalesforceExportTaskGroup("notes", destination="{{ params.lake }}", salesforce_conn_id="{{ params.org }}")
        SalesforceExportOperator(task_id="deals", object_type="deals", destination="file:///data", outlets=[given])

    assert assets_of(dag, "vips.publish") == (["salesforce://Acme/Contact"], ["s3://lake/vips"])
    assert assets_of(dag, "notes.publish") == ([], ["{{ params.lake }}/notes"])
    assert assets_of(dag, "deals") == (
        ["salesforce://salesforce_export_default/Opportunity"],
        ["file:///data/report", "file:///data/deals"],
    )
    assert assets_of(dag, "vips.pages") == ([], [])


def test_what_a_task_before_it_returns_may_be_the_connection_or_the_destination():
    with DAG("nightly") as dag:
        connection, destination = (EmptyOperator(task_id=name).output for name in ("org", "lake"))
        SalesforceExportTaskGroup("contacts", destination=destination, salesforce_conn_id=connection)
        SalesforceExportOperator(task_id="deals", object_type="deals", destination=destination)

    assert assets_of(dag, "contacts.publish") == ([], ["nightly.contacts.publish"])
    assert assets_of(dag, "deals") == (["salesforce://salesforce_export_default/Opportunity"], ["nightly.deals"])


def test_publishing_for_a_group_of_ones_own_takes_a_name_of_the_catalogue():
    with DAG("nightly") as dag:
        SalesforceExportPublishOperator(
            task_id="publish", object_type="contacts", destination="s3://lake", plan={}, results=[]
        )

    assert assets_of(dag, "publish") == (["salesforce://salesforce_export_default/Contact"], ["s3://lake/contacts"])


def test_assets_that_are_given_later_stand_beside_those_of_the_export():
    with DAG("nightly"):
        operator = SalesforceExportOperator(task_id="export", object_type="contacts", destination="file:///data")
    report = Asset("file:///data/report")
    before = operator.outlets

    operator.outlets = [report]

    assert operator.outlets == [report, *before]
    assert len(operator.inlets) == 1


def test_rendering_the_destination_does_not_change_the_asset_that_airflow_knows():
    with DAG("nightly"):
        operator = SalesforceExportOperator(task_id="export", object_type="contacts", destination="{{ params.lake }}")

    operator.render_template_fields({"params": {"lake": "s3://lake"}})

    assert operator.destination == "s3://lake"
    assert operator.outlets == [AssetAlias("{{ params.lake }}/contacts")]


def test_a_page_task_does_not_load_what_sanitizes_the_assets_of_all_providers():
    """Every task parses the DAG, and pays for what that loads."""
    program = (
        "import sys\n"
        "from airflow.sdk import DAG\n"
        "from airflow_provider_salesforce_export import SalesforceExportOperator, SalesforceExportTaskGroup\n"
        "with DAG('nightly'):\n"
        "    group = SalesforceExportTaskGroup('contacts', destination='s3://lake')\n"
        "    SalesforceExportOperator(task_id='export', object_type='contacts', destination='s3://lake')\n"
        "print('boto3' in sys.modules or 'openlineage.client' in sys.modules)\n"
        "group.publish.outlets\n"
        "print('boto3' in sys.modules)\n"
    )

    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout

    # Some versions of Airflow log a warning there.
    assert [line for line in shown.splitlines() if line in ("False", "True")] == ["False", "True"]


def test_the_uri_of_an_sobject_is_written_in_one_way():
    """And no other than its name: Airflow lets an asset of one URI have one name alone."""
    asset = Asset("Salesforce://Acme/Invoice__c/")

    assert asset.uri == "salesforce://Acme/Invoice__c"
    assert salesforce_asset("Contact", "Acme").name == salesforce_asset("Contact", "Acme").uri


@pytest.mark.parametrize("uri", ["salesforce://acme", "salesforce:///Contact", "salesforce://acme/Contact/003"])
def test_a_uri_that_names_no_sobject_of_an_org_is_refused(uri):
    with pytest.raises(ValueError, match="salesforce://<org>/<sObject>"):
        Asset(uri)
