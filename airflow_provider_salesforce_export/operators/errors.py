"""How errors leave an operator."""

from __future__ import annotations

import logging

from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_salesforce_export.exceptions import SalesforceExportError
from airflow_provider_salesforce_export.operators.retries import HAS_RETRY_POLICIES, HOPELESS

log = logging.getLogger(__name__)


class clear_errors:
    """
    Let the errors of this package leave without the stack below the operator; fail at once where a retry is in vain.

    Their message says what was wrong and who mends it; in a task's log the stack would bury it. It is logged at DEBUG.
    """

    def __enter__(self) -> None:
        """Do nothing: what matters is how the block is left."""

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, stack: object) -> None:
        if isinstance(error, SalesforceExportError):
            log.debug("The stack of the error that follows:", exc_info=error)
            if isinstance(error, HOPELESS) and not HAS_RETRY_POLICIES:
                raise AirflowFailException(str(error)) from None
            raise error.with_traceback(None) from None
