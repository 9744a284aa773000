import re
from datetime import datetime, timedelta, timezone

import pytest
from airflow.sdk import DAG

from airflow_provider_salesforce_export import ObjectType, SalesforceExportOperator, SalesforceExportTaskGroup
from airflow_provider_salesforce_export.exceptions import ConfigurationError
from airflow_provider_salesforce_export.export.formats import choices
from airflow_provider_salesforce_export.operators import folders


def operator(**arguments):
    return SalesforceExportOperator(
        task_id="export", **{"object_type": "contacts", "destination": "file:///x"} | arguments
    )


@pytest.mark.parametrize("page_size", [0, -1, 2001, "2001", "many", 1.5, None, True, ""])
def test_a_page_size_outside_1_to_2000_is_refused_when_the_dag_is_parsed(page_size):
    with pytest.raises(ConfigurationError, match="page_size must be a whole number from 1 to 2000"):
        operator(page_size=page_size)


@pytest.mark.parametrize("page_size", [1, 2000, "200", "{{ params.page_size }}"])
def test_other_page_sizes_are_accepted(page_size):
    assert operator(page_size=page_size).page_size == page_size


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"mode": "delta"}, "mode must be one of full, incremental"),
        ({"pagination": "cursor"}, "pagination must be one of auto, offset, range"),
        ({"include_deleted": "perhaps"}, "include_deleted must be True or False"),
        ({"since": datetime(2026, 11, 1)}, "since has no time zone"),
        ({"until": "2026-11-01T00:00:00"}, "until has no time zone"),
        ({"until": "tomorrow"}, "until must be a datetime such as"),
        ({"since": 5}, "since must be a datetime"),
        ({"since": "2026-11-01T00:00:00Z"}, "since and until are for mode='incremental'"),
        ({"lookback": timedelta(seconds=-1)}, "lookback must be a timedelta, or seconds of 0 or more"),
        ({"settle": "soon"}, "settle must be a timedelta, or seconds of 0 or more, not 'soon'"),
        ({"settle": float("nan")}, "settle must be a timedelta"),
        ({"settle": True}, "settle must be a timedelta"),
        ({"full_refresh": "perhaps"}, "full_refresh must be True or False"),
        ({"api_quota_limit": 0}, "api_quota_limit must be a number above 0 and up to 1, not 0"),
        ({"api_quota_limit": "80%"}, "api_quota_limit must be a number above 0 and up to 1, not '80%'"),
        ({"api_quota_limit": 80}, "api_quota_limit must be"),
        ({"output_format": "xml"}, "output_format must be one of json, jsonl, csv, parquet, not 'xml'"),
        ({"output_format": None}, "output_format must be one of"),
        ({"compression": "lz4"}, "compression must be one of gzip, zstd, not 'lz4'"),
        ({"flatten": "perhaps"}, "flatten must be True or False"),
        ({"partition_style": "daily"}, "partition_style must be one of plain, hive"),
        ({"on_schema_change": "ignore"}, "on_schema_change must be one of warn, fail"),
        ({"concurrency": 0}, "concurrency must be a whole number of 1 or more"),
        ({"deferrable": "perhaps"}, "deferrable must be True or False"),
        ({"salesforce_conn_id": ""}, "salesforce_conn_id must name a connection"),
        ({"object_type": "leads"}, "Unknown object type 'leads'. Known: contacts, deals, notes"),
    ],
)
def test_a_wrong_argument_is_refused_when_the_dag_is_parsed(arguments, message):
    with pytest.raises(ConfigurationError, match=message):
        operator(**arguments)


@pytest.mark.parametrize(
    "since", [datetime(2026, 11, 1, tzinfo=timezone.utc), "2026-11-01T00:00:00Z", "{{ ds }}", None, ""]
)
def test_a_moment_with_a_zone_or_a_template_is_accepted(since):
    assert operator(mode="incremental", since=since).since == since


@pytest.mark.parametrize(
    ("value", "seconds"), [(timedelta(minutes=2), 120), (0, 0), (1.5, 1.5), ("90", 90), ("0.5", 0.5)]
)
def test_a_duration_is_a_timedelta_or_seconds(value, seconds):
    assert operator(settle=value).argument("settle").total_seconds() == seconds


@pytest.mark.parametrize(("value", "share"), [(1, 1.0), ("0.25", 0.25), (0.8, 0.8)])
def test_a_share_is_a_number_up_to_1(value, share):
    assert operator(api_quota_limit=value).argument("api_quota_limit") == share


@pytest.mark.parametrize("compression", [None, "", "None"])
def test_no_compression_may_be_said_in_the_words_of_a_template(compression):
    assert operator(compression=compression).argument("compression") is None


@pytest.mark.parametrize(
    ("arguments", "extra"),
    [({"output_format": "parquet"}, "parquet"), ({"compression": "zstd"}, "zstd")],
)
def test_a_format_that_is_not_installed_is_refused_when_the_dag_is_parsed(monkeypatch, arguments, extra):
    monkeypatch.setattr(choices, "find_spec", lambda package: None)

    with pytest.raises(ConfigurationError, match=rf"pip install 'airflow-provider-salesforce-export\[{extra}\]'"):
        operator(**arguments)
    operator(output_format="{{ params.output_format }}", compression="zstd")  # known when the task runs


@pytest.mark.parametrize(
    ("destination", "extra"), [("s3://lake/x", "s3"), ("gs://lake/x", "gcs"), ("abfss://lake@account/x", "azure")]
)
def test_a_store_that_is_not_installed_is_refused_when_the_dag_is_parsed(monkeypatch, destination, extra):
    operator(destination=destination)
    monkeypatch.setattr(folders, "find_spec", lambda package: None)

    with pytest.raises(ConfigurationError, match=rf"pip install 'airflow-provider-salesforce-export\[{extra}\]'"):
        operator(destination=destination)
    operator(destination="{{ var.value.lake }}")  # known when the task runs


@pytest.mark.parametrize("destination", ["exports", "s3://lake[1/x"])
def test_a_destination_that_is_no_url_is_refused_when_the_dag_is_parsed(destination):
    with pytest.raises(ConfigurationError, match=f"'{re.escape(destination)}' is not the URL of a folder"):
        operator(destination=destination)


def test_the_task_group_refuses_the_same():
    with DAG("nightly"), pytest.raises(ConfigurationError, match="page_size"):
        SalesforceExportTaskGroup("contacts", destination="file:///x", page_size=5000)
    with DAG("nightly"), pytest.raises(ConfigurationError, match="max_page_tasks"):
        SalesforceExportTaskGroup("contacts", destination="file:///x", max_page_tasks=0)
    with pytest.raises(ConfigurationError, match=r"no argument pool, retries\. .* default_args"):
        SalesforceExportTaskGroup("contacts", destination="file:///x", retries=3, pool="salesforce")


def test_the_group_is_named_after_its_object_type():
    with DAG("nightly"):
        group = SalesforceExportTaskGroup(ObjectType("leads", "Lead", ("Name",)), destination="file:///x")

    assert group.group_id == "leads"
    assert list(group.children) == ["leads.count", "leads.pages", "leads.publish"]
