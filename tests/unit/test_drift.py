import json
from dataclasses import asdict

import pytest

from airflow_provider_salesforce_export.export.drift import describe, schema_change
from airflow_provider_salesforce_export.export.manifest import manifest_in
from airflow_provider_salesforce_export.export.schema import Column, Schema

ID, PHONE = Column("Id", "id"), Column("Phone", "phone")


@pytest.fixture
def publish(tmp_path):
    def publish(partition, *columns, **manifest):
        folder = tmp_path / partition
        folder.mkdir(parents=True)
        manifest = {"columns": [asdict(column) for column in columns]} | manifest
        manifest_in(folder).write_text(json.dumps(manifest))

    return publish


def test_what_was_added_is_gone_or_has_changed_is_told(publish, tmp_path):
    amount = Column("Amount", "currency", 18, 2)
    publish("2026-11-19T000000Z", ID, PHONE, amount, Column("Old", "string"), Column("Owner.Alias"))
    now = Schema(
        (ID, PHONE, Column("Amount", "double", 18, 2), Column("New", "string"), Column("Owner.Alias", "string"))
    )

    change = schema_change(now, tmp_path, "2026-11-20T000000Z")

    assert (change["added"], change["gone"], list(change["changed"])) == (["New"], ["Old"], ["Amount"])
    assert [column["type"] for column in change["changed"]["Amount"]] == ["currency", "double"]
    since = tmp_path / "2026-11-19T000000Z" / "manifest.json"
    assert describe(change) == f"The fields are others than in {since}. added: New; gone: Old; changed: Amount."


@pytest.mark.parametrize(
    ("partitions", "partition", "compared"),
    [
        ([], "2026-11-20T000000Z", None),
        (
            ["2026-11-18T000000Z", "2026-11-19T000000Z", "2026-11-21T000000Z"],
            "2026-11-20T000000Z",
            "2026-11-19T000000Z",
        ),
        (["2026-11-19T000000Z", "2026-11-20T000000Z"], "2026-11-20T000000Z", "2026-11-20T000000Z"),
        (["2026-11-21T000000Z"], "2026-11-20T000000Z", None),
        (["2026-11-19T000000Z", "ds=2026-11-21"], "ds=2026-11-20", "2026-11-19T000000Z"),
        (["ds=2026-11-18", "ds=2026-11-19"], "ds=2026-11-20", "ds=2026-11-19"),
        (
            ["ds=2026-11-20/window=040000Z--050000Z", "ds=2026-11-20/window=060000Z--070000Z", "ds=2026-11-19"],
            "ds=2026-11-20/window=050000Z--060000Z",
            "ds=2026-11-20/window=040000Z--050000Z",
        ),
        (
            ["ds=2026-11-19/snapshot=020000Z", "ds=2026-11-19/snapshot=230000Z"],
            "ds=2026-11-20/snapshot=020000Z",
            "ds=2026-11-19/snapshot=230000Z",
        ),
    ],
)
def test_it_is_compared_with_its_own_partition_or_the_newest_before(publish, tmp_path, partitions, partition, compared):
    for name in partitions:
        publish(name, ID)
    (tmp_path / "2026-11-19T120000Z").mkdir()  # of a run that failed
    (tmp_path / "notes.txt").touch()

    change = schema_change(Schema((ID, PHONE)), tmp_path, partition)

    assert (change and change["since"]) == (compared and str(manifest_in(tmp_path / compared)))


def test_a_manifest_that_tells_no_types_is_compared_with_nothing(publish, tmp_path):
    publish("2026-11-19T000000Z", columns=None)

    assert schema_change(Schema((ID,)), tmp_path, "2026-11-20T000000Z") is None
    assert schema_change(Schema((ID,)), tmp_path / "nothing", "2026-11-20T000000Z") is None
