"""The example DAGs, as Airflow parses them."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk.api.datamodels._generated import DagRunType
from airflow.sdk.exceptions import ParamValidationError
from airflow.timetables.interval import CronDataIntervalTimetable

DAGS = Path(__file__).parents[2] / "dags"
NAMES = ("contacts", "deals", "notes")


@pytest.fixture(scope="module")
def bag():
    return DagBag(dag_folder=str(DAGS))


def test_every_dag_file_parses(bag):
    assert bag.import_errors == {}
    assert sorted(bag.dags) == sorted(f"salesforce_{name}" for name in (*NAMES, "keep_logins", "load_contacts"))


@pytest.mark.parametrize("name", NAMES)
def test_a_dag_counts_reads_and_publishes_with_retries(bag, name):
    dag = bag.dags[f"salesforce_{name}"]

    assert [task.task_id for task in dag.topological_sort()] == [
        f"{name}.{task}" for task in ("count", "pages", "publish")
    ]
    assert all(task.retries == 3 for task in dag.tasks)
    assert {"salesforce", "export"} <= dag.tags
    assert dag.doc_md.lstrip().startswith("###")


@pytest.mark.parametrize("name", NAMES)
def test_an_incremental_run_of_a_dag_has_a_day_to_read(bag, name):
    assert isinstance(bag.dags[f"salesforce_{name}"].timetable, CronDataIntervalTimetable)


@pytest.mark.parametrize("name", [*NAMES, "keep_logins", "load_contacts"])
def test_the_trigger_form_has_typed_and_explained_fields(bag, name):
    params = bag.dags[f"salesforce_{name}"].params

    assert params
    for name in params:
        param = params.get_param(name)
        assert param.description
        assert {"type", "title"} <= param.schema.keys()


@pytest.mark.parametrize("name", NAMES)
def test_the_trigger_form_of_an_export_refuses_what_cannot_be(bag, name):
    params = bag.dags[f"salesforce_{name}"].params

    assert sorted(params) == ["compression", "destination", "include_deleted", "mode", "output_format", "page_size"]
    assert params.get_param("compression").schema["values_display"] == {"null": "none"}  # else the form shows: null
    for name, wrong in (("mode", None), ("output_format", None), ("page_size", 0)):
        with pytest.raises(ParamValidationError):
            params[name] = wrong
    with pytest.raises(ParamValidationError, match="2001"):
        params["page_size"] = 2001


@pytest.mark.parametrize(
    ("chosen", "run_type", "mode"),
    [
        ("auto", DagRunType.BACKFILL, "incremental"),
        ("auto", DagRunType.SCHEDULED, "full"),
        ("auto", DagRunType.MANUAL, "full"),
        ("full", DagRunType.BACKFILL, "full"),
        ("incremental", DagRunType.MANUAL, "incremental"),
    ],
)
@pytest.mark.parametrize("name", NAMES)
def test_a_backfill_is_incremental_unless_another_mode_is_chosen(bag, name, chosen, run_type, mode):
    dag = bag.dags[f"salesforce_{name}"]
    count = dag.task_dict[f"{name}.count"]
    context = {"params": {"mode": chosen}, "dag_run": SimpleNamespace(run_type=run_type)}

    assert dag.params["mode"] == "auto"
    assert count.render_template(count.mode, context, dag.get_template_env()) == mode
