from types import SimpleNamespace

import pytest

from airflow_provider_salesforce_export.operators.links import console_address


@pytest.mark.parametrize(
    ("protocol", "path", "endpoint_url", "address"),
    [
        ("s3", "lake/sf/a b", None, "https://s3.console.aws.amazon.com/s3/buckets/lake?prefix=sf/a%20b/"),
        ("s3", "lake/sf", "http://minio:9000", None),
        ("gs", "lake/sf", None, "https://console.cloud.google.com/storage/browser/lake/sf"),
        ("abfs", "lake/sf", None, None),
        ("file", "/lake/sf", None, None),
    ],
)
def test_a_folder_has_an_address_where_its_store_has_a_web_console(protocol, path, endpoint_url, address):
    folder = SimpleNamespace(protocol=protocol, path=path, fs=SimpleNamespace(endpoint_url=endpoint_url))

    assert console_address(folder) == address
