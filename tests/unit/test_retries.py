from datetime import timedelta

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_salesforce_export import SalesforceExportOperator, exceptions
from airflow_provider_salesforce_export.operators import errors
from airflow_provider_salesforce_export.operators.retries import HAS_RETRY_POLICIES, HOPELESS, retry_policy

needs_policies = pytest.mark.skipif(not HAS_RETRY_POLICIES, reason="retry policies came with Airflow 3.3")


@needs_policies
@pytest.mark.parametrize(
    ("error", "action", "delay"),
    [
        (exceptions.UnknownObjectTypeError("x"), "fail", None),
        (exceptions.LoginRequiredError("x"), "fail", None),
        (exceptions.QueryError("x"), "fail", None),
        (exceptions.ApiVersionError("x"), "fail", None),
        (exceptions.QuotaReachedError("x"), "retry", timedelta(hours=1)),
        (exceptions.ConcurrentRequestsError("x"), "default", None),
        (exceptions.DomainNotFoundError("x"), "default", None),
        (exceptions.KeyCollectionUnavailableError("x"), "default", None),
        (exceptions.InconsistentPagesError("x"), "default", None),
        (ValueError("x"), "default", None),
    ],
)
def test_which_errors_are_retried_and_when(error, action, delay):
    decision = retry_policy().evaluate(error, try_number=1, max_tries=3)

    assert (decision.action.value, decision.retry_delay) == (action, delay)


@needs_policies
def test_an_operator_has_the_policy_unless_it_is_given_another():
    from airflow.sdk import ExceptionRetryPolicy

    mine = ExceptionRetryPolicy([])
    arguments = {"task_id": "export", "object_type": "contacts", "destination": "file:///x"}

    assert len(SalesforceExportOperator(**arguments).retry_policy.rules) == 2
    assert SalesforceExportOperator(**arguments, retry_policy=mine).retry_policy is mine


@pytest.mark.parametrize("kind", HOPELESS)
def test_without_policies_what_is_hopeless_fails_at_once_all_the_same(kind, monkeypatch):
    monkeypatch.setattr(errors, "HAS_RETRY_POLICIES", False)

    with pytest.raises(AirflowFailException, match="log in"), errors.clear_errors():
        raise kind("log in")


def test_what_may_pass_leaves_as_it_is(monkeypatch):
    monkeypatch.setattr(errors, "HAS_RETRY_POLICIES", False)

    with pytest.raises(exceptions.SalesforceUnavailableError), errors.clear_errors():
        raise exceptions.SalesforceUnavailableError("away")
