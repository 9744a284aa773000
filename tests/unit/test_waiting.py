import random

from airflow.models.trigger import Trigger

from airflow_provider_salesforce_export.export.plan import Job, Plan, Request
from airflow_provider_salesforce_export.export.schema import Column, Schema
from airflow_provider_salesforce_export.operators.waiting import packed, unpacked
from airflow_provider_salesforce_export.salesforce.soql import Query
from airflow_provider_salesforce_export.triggers.bulk_job import BulkJobTrigger

DICE = random.Random(7)
WORDS = ["".join(DICE.choices("abcdefghijklmnopqrstuvwxyz", k=DICE.randint(4, 10))) for _ in range(2000)]
TYPES = ["string", "currency", "double", "date", "datetime", "picklist", "reference", "boolean"]


def test_the_state_of_an_object_with_as_many_fields_as_salesforce_allows_fits_into_mysql():
    names = [f"{'_'.join(DICE.choices(WORDS, k=4))}_{number}__c" for number in range(900)]
    columns = tuple(Column(name, DICE.choice(TYPES), 18, 2) for name in names)
    query = Query("Wide__c", tuple(column.path for column in columns))
    job = Job("750", query.select(), False, "2026-11-20T02:00:00.000+00:00")
    plan = Plan(Request("wide", query, False, 2000, "auto"), Schema(columns), "bulk", 10, 0, "run", "2026", job=job)
    state = {"plan": plan.to_dict(), "segments": [], "window": None}

    trigger = BulkJobTrigger("salesforce", "750", "2026-11-20", 5.0, packed(state | {"api_calls": 7}))

    assert len(Trigger.encrypt_kwargs(trigger.serialize()[1])) < 65_535
    event = unpacked(trigger.state | {"api_calls": 9})
    assert Plan.from_dict(event.pop("plan")) == plan
    assert event == {"segments": [], "window": None, "api_calls": 9}
