"""An org in memory, for tests that ask thousands of questions: it answers the queries that this package composes."""

import re

from airflow_provider_salesforce_export.salesforce.meter import UNMETERED
from airflow_provider_salesforce_export.salesforce.rest_api import ApiUsage

_QUERY = re.compile(
    r"SELECT (?P<fields>.+?) FROM Contact(?: WHERE (?P<where>.+?))?"
    r"(?: ORDER BY Id (?P<order>ASC|DESC))?(?: LIMIT (?P<limit>\d+))?(?: OFFSET (?P<offset>\d+))?"
)
_BOUND = re.compile(r"\(?Id (?P<operator>>|<=) '(?P<id>\w{15})'\)?")


class MemoryOrg:
    """
    A client of an org with contacts.

    ``first_batch_size`` bounds the replies to queries with OFFSET, as wide rows do. ``ids`` may be changed at any time;
    ``before_request`` is called before each answer.
    """

    def __init__(self, ids, before_request=lambda: None, first_batch_size=None):
        self.ids = set(ids)
        self.before_request = before_request
        self.first_batch_size = first_batch_size
        self.usage = ApiUsage()
        self.identity = None
        self.meter = UNMETERED

    def require_identity(self, identity):
        """Nobody logs in meanwhile."""

    def describe(self, sobject):
        return {"fields": [{"name": "Id", "type": "id", "precision": 0, "scale": 0, "calculated": False}]}

    def count(self, soql, *, include_deleted=False):
        return len(self._answer(soql))

    def query(self, soql, *, include_deleted=False, record_type=None):
        if "COUNT(Id), MIN(Id), MAX(Id)" in soql:
            found = self._answer(soql)
            yield [{"expr0": len(found), "expr1": min(found, default=None), "expr2": max(found, default=None)}]
            return
        yield [record_type(Id=record_id) for record_id in self._answer(soql)]

    def first_batch(self, soql, *, include_deleted=False, record_type=None):
        return next(self.query(soql, record_type=record_type))[: self.first_batch_size]

    def _answer(self, soql):
        self.before_request()
        self.usage.calls += 1
        query = _QUERY.fullmatch(soql)
        found = sorted(self.ids, reverse=query["order"] == "DESC")
        for condition in (query["where"] or "").split(" AND "):
            found = self._filtered(found, condition)
        offset = int(query["offset"] or 0)
        assert offset <= 2000, "Salesforce would refuse this"
        return found[offset:][: int(query["limit"]) if query["limit"] else None]

    @staticmethod
    def _filtered(ids, condition):
        if not condition:
            return ids
        bound = _BOUND.fullmatch(condition)
        above = bound["operator"] == ">"
        return [record_id for record_id in ids if (record_id[:15] > bound["id"]) == above]


def contact_id(number):
    """Return the 15-character Id of a contact by its place in the Id space."""
    digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    text = ""
    for _ in range(12):
        number, digit = divmod(number, 62)
        text = digits[digit] + text
    return f"003{text}"
