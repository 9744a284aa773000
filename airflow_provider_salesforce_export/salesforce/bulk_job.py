"""A Bulk API 2.0 query job, and the parts of its results, as Salesforce describes them."""

from __future__ import annotations

from dataclasses import dataclass

from airflow_provider_salesforce_export.exceptions import BulkJobError

WAITING_STATES = frozenset({"UploadComplete", "InProgress"})
TERMINAL_STATES = frozenset({"JobComplete", "Failed", "Aborted"})


@dataclass(frozen=True)
class BulkJob:
    """
    A query job, as Salesforce described it a moment ago.

    :param id: Its Id.
    :param state: One of ``WAITING_STATES`` or ``TERMINAL_STATES``.
    :param records: How many records it has found so far.
    :param error_message: What Salesforce says of a job that failed.
    """

    id: str
    state: str
    records: int
    error_message: str | None = None

    @property
    def is_over(self) -> bool:
        """Whether it will not change any more."""
        return self.state in TERMINAL_STATES

    def require_success(self, soql: str) -> None:
        """
        Make sure that a job that is over has results.

        :param soql: Its query, for the message.
        :raises BulkJobError: It failed or was aborted.
        """
        if self.state == "Failed":
            raise BulkJobError(
                f"The Bulk query job {self.id} failed at Salesforce: {self.error_message or 'without a reason'}. Its "
                f"query: {soql}. Where it took too long, narrow the where of the object type; where Bulk API 2.0 "
                "cannot read this object, use api='rest'; a Salesforce admin sees more under Bulk Data Load Jobs."
            )
        if self.state == "Aborted":
            raise BulkJobError(
                f"The Bulk query job {self.id} was aborted, by a user in Salesforce or with its task. Its query: "
                f"{soql}. Run the task again to submit it anew."
            )


@dataclass(frozen=True)
class ResultPage:
    """
    A part of a job's results, which can be downloaded by itself.

    :param job_id: The job.
    :param number: Its place among the parts, from 0.
    :param path: Where it is, from the host on; until its locator expires.
    """

    job_id: str
    number: int
    path: str
