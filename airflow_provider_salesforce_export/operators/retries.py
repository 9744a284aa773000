"""Which errors another try may mend."""

from __future__ import annotations

from airflow_provider_salesforce_export.exceptions import (
    ApiVersionError,
    AuthenticationError,
    ConfigurationError,
    KeyDecryptionError,
    QueryError,
    QuotaReachedError,
    SchemaChangedError,
)
from airflow_provider_salesforce_export.operators.waiting import QUOTA_WAIT

try:
    from airflow.sdk import ExceptionRetryPolicy, RetryAction, RetryRule
except ImportError:  # before Airflow 3.3
    HAS_RETRY_POLICIES = False
else:
    HAS_RETRY_POLICIES = True

HOPELESS = (
    ConfigurationError,
    KeyDecryptionError,
    AuthenticationError,
    QueryError,
    ApiVersionError,
    SchemaChangedError,
)
"""What another try cannot mend; repeated wrong logins may even lock the user."""


def retry_policy() -> ExceptionRetryPolicy:
    """
    Return the retry policy of this package's operators, for tasks that use the hook by themselves.

    What is hopeless fails at once; a spent API quota is waited for; all else follows the task's ``retries`` and
    ``retry_delay``. See Airflow's documentation, "Retry policies". Needs Airflow 3.3.
    """
    return ExceptionRetryPolicy(
        [
            RetryRule(list(HOPELESS), RetryAction.FAIL, reason="No other try can mend this."),
            RetryRule(QuotaReachedError, RetryAction.RETRY, QUOTA_WAIT, reason="The API quota frees up over the day."),
        ]
    )
