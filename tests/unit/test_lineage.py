"""What OpenLineage calls the folder of an export; tests/integration/test_observing.py sees whole events."""

from pathlib import Path

import pytest

from airflow_provider_salesforce_export.assets import export_uri
from airflow_provider_salesforce_export.lineage import datasets


@pytest.mark.parametrize(
    ("destination", "namespace", "name"),
    [
        ("/data/salesforce", "file", "/data/salesforce/contacts"),
        ("file:///data/salesforce", "file", "/data/salesforce/contacts"),
        ("s3://aws_default@lake/crm", "s3://lake", "crm/contacts"),
        ("s3a://lake/crm/", "s3://lake", "crm/contacts"),
        ("s3n://lake", "s3://lake", "contacts"),
        ("gs://lake/crm", "gs://lake", "crm/contacts"),
        ("gcs://lake/crm", "gs://lake", "crm/contacts"),
    ],
)
def test_a_store_has_one_spelling(destination, namespace, name):
    uri = export_uri(destination, "contacts")

    named = datasets("Contact", instance_url="https://acme.my.salesforce.com", export_uri=uri, folder=Path("/data"))

    assert named["output"] == [namespace, name]
    assert named["input"] == ["salesforce://acme.my.salesforce.com", "Contact"]
