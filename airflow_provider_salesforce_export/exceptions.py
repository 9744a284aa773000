"""
Everything this package raises, as one tree.

::

    SalesforceExportError
    ├── ConfigurationError            a DAG, a connection or an environment setting is wrong
    │   ├── UnknownObjectTypeError
    │   └── PaginationError           the object is too large for the pagination that was asked for
    ├── KeyCollectionError            MongoDB, where the OAuth tokens are kept
    │   ├── KeyCollectionUnavailableError
    │   └── KeyDecryptionError        the stored token is encrypted under a key that is not set here
    ├── SalesforceError               Salesforce said no, or nothing; keeps error_code and status_code
    │   ├── AuthenticationError
    │   │   ├── LoginRequiredError    no key, or a dead one: somebody must log in
    │   │   ├── LoginChangedError     the key is now of another user or org than when the export began
    │   │   ├── ForeignInstanceError  a token was issued for an instance that is not Salesforce's
    │   │   └── SessionRejectedError  a token renewed a moment ago is refused
    │   ├── QueryError                malformed query, unknown field or sObject
    │   ├── ApiVersionError
    │   ├── BulkJobError              a Bulk query job failed, was aborted, or is gone
    │   ├── RequestLimitError         too many requests
    │   │   ├── QuotaReachedError     the day's API quota, or the share of it that an export may use
    │   │   └── ConcurrentRequestsError  too many at once
    │   └── SalesforceUnavailableError
    │       ├── DomainNotFoundError   the login host has no address
    │       └── IncompleteResponseError  cut short, HTML, or fewer records than announced
    └── ExportError
        ├── DestinationError          a page or a manifest cannot be written
        ├── InconsistentPagesError    the pages do not cover the object exactly once
        └── SchemaChangedError        the fields are others than in the export before, and must not be

Each message says what failed, what was expected, and who mends it. All of them survive pickling, because
executors send them between processes.
"""

from __future__ import annotations


class SalesforceExportError(Exception):
    """
    Base of every error that this package raises.

    :param message: What failed, what was expected, and who mends it.
    """


class ConfigurationError(SalesforceExportError, ValueError):
    """A DAG, an Airflow connection or an environment setting is wrong."""


class UnknownObjectTypeError(ConfigurationError):
    """No object type of that name is in the catalogue."""


class PaginationError(ConfigurationError):
    """The object is too large for the pagination that was asked for."""


class KeyCollectionError(SalesforceExportError):
    """The key collection in MongoDB refused an operation, or holds something that is not a key."""


class KeyCollectionUnavailableError(KeyCollectionError):
    """MongoDB does not answer; trying again later may help."""


class KeyDecryptionError(KeyCollectionError):
    """The stored token is encrypted under a key that is not set here."""


class SalesforceError(SalesforceExportError):
    """
    Salesforce answered with an error, or did not answer as it should.

    :param message: What failed, what was expected, and who mends it.
    :param error_code: Salesforce's own code, such as ``INVALID_FIELD``; None where it sent none.
    :param status_code: The HTTP status; None where there was no reply.
    """

    def __init__(self, message: str, *, error_code: str | None = None, status_code: int | None = None) -> None:
        super().__init__(message)
        self.error_code = error_code
        self.status_code = status_code

    def __reduce__(self) -> tuple[object, ...]:
        """Carry the keyword arguments through pickling, which calls the class with ``args`` alone."""
        return type(self), self.args, self.__dict__


class AuthenticationError(SalesforceError):
    """Salesforce does not accept the credentials; trying again does not help."""


class LoginRequiredError(AuthenticationError):
    """There is no usable key for this account: somebody must log in."""


class LoginChangedError(AuthenticationError):
    """The key is now of another user or org than when the export began, and what they may see differs."""


class ForeignInstanceError(AuthenticationError):
    """A token was issued for an instance that is not Salesforce's, and was neither used nor stored."""


class SessionRejectedError(AuthenticationError):
    """An access token that was renewed a moment ago is refused."""


class QueryError(SalesforceError):
    """The query is malformed, or names a field or an sObject that the user may not see."""


class ApiVersionError(SalesforceError):
    """The org does not offer the API version of the connection."""


class BulkJobError(SalesforceError):
    """A Bulk query job failed, was aborted, or is gone; a new one may succeed."""


class RequestLimitError(SalesforceError):
    """Salesforce takes no more requests for now."""


class QuotaReachedError(RequestLimitError):
    """The org's API quota for 24 hours is used up, or the share of it that an export may use."""


class ConcurrentRequestsError(RequestLimitError):
    """Too many requests run at once; a moment later there may be room."""


class SalesforceUnavailableError(SalesforceError):
    """Salesforce is away, slow or under maintenance; trying again later may help."""


class DomainNotFoundError(SalesforceUnavailableError):
    """The login host has no address, which usually means a mistyped My Domain name."""


class IncompleteResponseError(SalesforceUnavailableError):
    """A reply is cut short, is not JSON, or holds fewer records than it announces."""


class ExportError(SalesforceExportError):
    """The export itself cannot go on."""


class DestinationError(ExportError):
    """A page or a manifest cannot be written to, or read from, the destination."""


class InconsistentPagesError(ExportError):
    """The pages that were written do not cover the object exactly once."""


class SchemaChangedError(ExportError):
    """The fields are others than in the export before, and ``on_schema_change="fail"`` forbids that."""
