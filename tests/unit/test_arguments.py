from datetime import datetime, timezone

import pytest
from airflow.sdk import DAG

from airflow_provider_salesforce_export import ObjectType, SalesforceExportOperator, SalesforceExportTaskGroup
from airflow_provider_salesforce_export.exceptions import ConfigurationError


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
        ({"concurrency": 0}, "concurrency must be a whole number of 1 or more"),
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


def test_the_task_group_refuses_the_same():
    with DAG("nightly"), pytest.raises(ConfigurationError, match="page_size"):
        SalesforceExportTaskGroup("contacts", destination="file:///x", page_size=5000)
    with DAG("nightly"), pytest.raises(ConfigurationError, match="max_page_tasks"):
        SalesforceExportTaskGroup("contacts", destination="file:///x", max_page_tasks=0)


def test_the_group_is_named_after_its_object_type():
    with DAG("nightly"):
        group = SalesforceExportTaskGroup(ObjectType("leads", "Lead", ("Name",)), destination="file:///x")

    assert group.group_id == "leads"
    assert list(group.children) == ["leads.count", "leads.pages", "leads.publish"]
