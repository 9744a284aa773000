"""The examples of the page on reading the output, run on an export."""

import re
from pathlib import Path

import duckdb
import pandas
import pytest

from airflow_provider_salesforce_export.export.planning import make_plan
from airflow_provider_salesforce_export.export.publish import publish
from airflow_provider_salesforce_export.export.segments import export_segments
from tests.integration.conftest import ids_in, request_for

PAGE = (Path(__file__).parents[2] / "docs" / "reading.md").read_text()
EXAMPLES = re.findall(r"^```python\n(.*?)^```$", PAGE, flags=re.DOTALL | re.MULTILINE)
PARTITION = "2026-11-21T020000Z"
ROWS = 120


def run_examples(folder, *marks, partition=PARTITION):
    """Run the example that finds the files, then those that have a mark each, and return their names."""
    names, paths = {}, {"/data/salesforce": folder, PARTITION: partition}
    if "=" in partition:
        paths['"manifest.json"'] = '"_manifest.json"'  # as the page says of Hive partitions
    for mark in ("manifest = ", *marks):
        (example,) = [example for example in EXAMPLES if mark in example]
        for path, there in paths.items():
            example = example.replace(path, str(there))
        exec(example, names)
    return names


@pytest.fixture
def export(start_org, client_of, tmp_path):
    """Export contacts in a format, to where the examples look for them."""
    server = start_org(contacts=ROWS)
    client = client_of(server)

    def export(partition=PARTITION, **options):
        folder = tmp_path / "contacts" / partition
        folder.mkdir(parents=True)
        plan = make_plan(client, request_for(page_size=50, **options), readers=4, run_id=partition)
        return publish(client, folder, plan, export_segments(client, plan, folder, threads=4, attempt=1), api_calls=0)

    return server, export


def test_pages_of_json_are_read_by_the_manifest(export, tmp_path):
    server, export = export
    export()
    (tmp_path / "contacts" / PARTITION / "page-00009-of-another-run.json").write_text("half a pa")

    names = run_examples(tmp_path, "contact.Account.Name AS Account", "sha256")

    assert sorted(contact_id for contact_id, _, _ in names["rows"]) == sorted(ids_in(server))
    contacts = run_examples(tmp_path, "json_normalize")["contacts"]
    assert sorted(contacts["Id"]) == sorted(ids_in(server))
    assert {"Account.Name", "Owner.Alias"} <= set(contacts.columns)


def test_files_of_parquet_are_read_by_the_manifest(export, tmp_path):
    server, export = export
    export(output_format="parquet")

    contacts = run_examples(tmp_path, "read_parquet(file)")["contacts"]

    assert sorted(contacts["Id"]) == sorted(ids_in(server))
    assert isinstance(contacts["SystemModstamp"].dtype, pandas.DatetimeTZDtype)


@pytest.mark.parametrize("output_format", ["json", "jsonl", "csv", "parquet"])
def test_duckdb_reads_every_format_as_the_table_says(export, tmp_path, output_format):
    _, export = export
    export(output_format=output_format)
    (query,) = re.findall(rf"^\| `{output_format}` \| `(.* read_.*)` \|$", PAGE, flags=re.MULTILINE)
    names = [str(file) for file in run_examples(tmp_path)["files"]]

    query = query if query.startswith("SELECT") else f"SELECT * {query}"
    assert len(duckdb.sql(query, params={"names": names}).fetchall()) == ROWS


@pytest.mark.parametrize(
    ("before", "after", "manifest"),
    [
        ("2026-11-20T020000Z", PARTITION, "manifest.json"),
        ("ds=2026-11-20", "ds=2026-11-21", "_manifest.json"),
        ("ds=2026-11-20/snapshot=020000Z", "ds=2026-11-21/snapshot=020000Z", "_manifest.json"),
    ],
)
def test_the_latest_state_has_each_record_once_as_it_was_last(export, tmp_path, before, after, manifest):
    server, export = export
    export(before)
    changed = min(ids_in(server))
    server.org.update("Contact", changed, LastName="Changed")
    export(after)
    assert {path.name for path in tmp_path.rglob("*manifest.json")} == {manifest}

    latest = run_examples(tmp_path, "QUALIFY", partition=after)["latest"]

    found = latest.project("Id, Name").fetchall()
    assert sorted(contact_id for contact_id, _ in found) == sorted(ids_in(server))
    assert "Changed" in dict(found)[changed]


def test_the_page_explains_every_key_of_a_manifest(export):
    _, export = export
    table = PAGE.partition("## The manifest")[2].partition("##")[0]
    rows = [line.partition(" | ")[0] for line in table.splitlines() if line.startswith("| `")]
    keys = {name for row in rows for name in re.findall(r"`(\w+)`", row)}

    manifest = export()

    assert keys == manifest.keys()
