import inspect
import pickle

import pytest

from airflow_provider_salesforce_export import exceptions

CLASSES = [
    value
    for _, value in inspect.getmembers(exceptions, inspect.isclass)
    if issubclass(value, exceptions.SalesforceExportError)
]


@pytest.mark.parametrize("kind", CLASSES)
def test_every_error_survives_the_way_between_processes(kind):
    error = kind("what failed")

    again = pickle.loads(pickle.dumps(error))

    assert type(again) is kind
    assert str(again) == "what failed"


def test_salesforces_own_code_and_status_survive_too():
    error = exceptions.QueryError("no such column", error_code="INVALID_FIELD", status_code=400)

    again = pickle.loads(pickle.dumps(error))

    assert (again.error_code, again.status_code) == ("INVALID_FIELD", 400)


@pytest.mark.parametrize("kind", CLASSES)
def test_the_tree_in_the_docstring_names_every_error(kind):
    assert kind.__name__ in exceptions.__doc__
