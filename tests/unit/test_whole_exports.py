"""Whatever happens to the org between any two requests, every row that exists throughout is exported exactly once."""

import logging
import tempfile
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_salesforce_export.export.formats.choices import FORMATS
from airflow_provider_salesforce_export.export.plan import Request
from airflow_provider_salesforce_export.export.planning import make_plan
from airflow_provider_salesforce_export.export.publish import publish
from airflow_provider_salesforce_export.export.ranges import find_ranges, survey
from airflow_provider_salesforce_export.export.segments import export_segments
from airflow_provider_salesforce_export.salesforce.soql import Query
from tests.readers import rows
from tests.unit.memory_org import MemoryOrg, contact_id

SPACE = 120

numbers = st.integers(0, SPACE - 1)
changes = st.lists(st.tuples(st.sampled_from(["insert", "delete"]), numbers), max_size=6)


@pytest.fixture(autouse=True)
def _quiet():
    """Hypothesis runs thousands of exports: each page would be a line of the log."""
    logging.disable(logging.WARNING)
    yield
    logging.disable(logging.NOTSET)


class History:
    """Changes an org before each of its answers, and remembers which rows were there all the time."""

    def __init__(self, script):
        self._script = iter(script)
        self.org = None
        self.always = set()
        self.ever = set()

    def begin(self, org):
        self.org = org
        self.always, self.ever = set(org.ids), set(org.ids)

    def __call__(self):
        for kind, number in next(self._script, []):
            (self.org.ids.add if kind == "insert" else self.org.ids.discard)(contact_id(number))
            self.always &= self.org.ids
            self.ever |= self.org.ids


class Interruption(Exception):
    """The quota of API calls is spent."""


def export_interrupted(org, plan, folder, data):
    """Export segments, interrupted before a request of any number, and go on with what was done by then."""
    done, history = [], org.before_request
    calls = iter(range(data.draw(st.integers(0, 4), label="requests before an interruption")))

    def interrupt():
        if next(calls, None) is None:
            raise Interruption
        history()

    org.before_request = interrupt
    with suppress(Interruption):
        export_segments(org, plan, folder, threads=1, attempt=2, done=done)
    org.before_request = history
    return export_segments(org, plan, folder, threads=1, attempt=2, done=list(done))


def request(page_size, pagination="auto", output_format="json"):
    return Request("contacts", Query("Contact", ("Id",)), False, page_size, pagination, output_format)


@settings(max_examples=400, deadline=None)
@given(
    existing=st.sets(numbers),
    script=st.lists(changes, max_size=40),
    page_size=st.integers(1, 40),
    pagination=st.sampled_from(["offset", "range"]),
    output_format=st.sampled_from(FORMATS),
    readers=st.integers(1, 6),
    batch=st.integers(1, 45),
    data=st.data(),
)
def test_every_row_that_exists_throughout_is_there_exactly_once(
    existing, script, page_size, pagination, output_format, readers, batch, data
):
    history = History(script)
    org = MemoryOrg(map(contact_id, existing), before_request=history, first_batch_size=batch)
    history.begin(org)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        plan = make_plan(org, request(page_size, pagination, output_format), readers=readers, run_id="run")
        pages = []
        for segment in data.draw(st.permutations(plan.segments)):
            if data.draw(st.booleans(), label="the task dies once"):
                export_segments(org, replace(plan, segments=(segment,)), folder, threads=1, attempt=1)
            pages += export_interrupted(org, replace(plan, segments=(segment,)), folder, data)

        if data.draw(st.booleans(), label="publishing dies after its commit"):
            publish(org, folder, plan, pages, api_calls=0)
        for page in pages:
            if page["file"] and data.draw(st.integers(0, 4), label="0: the file is lost") == 0:
                (folder / page["file"]).unlink(missing_ok=True)

        manifest = publish(org, folder, plan, pages, api_calls=0, attempt=2)

        contents = {page["file"]: rows(folder / page["file"], ["Id"]) for page in manifest["pages"]}
        files = {path.name for path in folder.iterdir()}
    exported = Counter(record["Id"] for content in contents.values() for record in content)
    assert history.always <= exported.keys() <= history.ever
    assert set(exported.values()) <= {1}
    assert manifest["rows"] == exported.total() == plan.total + manifest["drift"]
    assert [page["rows"] for page in manifest["pages"]] == [len(content) for content in contents.values()]
    assert all(page["rows"] <= page_size for page in manifest["pages"])
    assert len({(page["page"], page["part"]) for page in manifest["pages"]}) == len(manifest["pages"])
    assert manifest["count_after"] == len(org.ids)
    assert files == {"manifest.json", *contents}


def test_without_changes_nothing_is_repaired():
    org = MemoryOrg(map(contact_id, range(1000)))
    with tempfile.TemporaryDirectory() as name:
        plan = make_plan(org, request(37), readers=4, run_id="run")
        manifest = publish(
            org, Path(name), plan, export_segments(org, plan, Path(name), threads=4, attempt=1), api_calls=0
        )

    assert (manifest["repairs"], manifest["drift"]) == ([], 0)


ROWS = 5_000
WIDTH = 10**13
SPARSE = range(0, WIDTH, WIDTH // (ROWS // 10))


def crowd(start):
    """Return 90 % of the rows in a thousandth of the Id space, and the others all over it."""
    return {*SPARSE, *range(start, start + WIDTH // 1000, WIDTH // 1000 // (ROWS * 9 // 10))}


DISTRIBUTIONS = {
    "even": range(0, ROWS * 1000, 1000),
    "two blocks far apart": [*range(ROWS // 2), *range(62**11, 62**11 + ROWS // 2)],
    "three blocks of different size": [*range(125), *range(62**9, 62**9 + 1125), *range(62**11, 62**11 + 3750)],
    "a crowd somewhere": crowd(WIDTH * 4137 // 10_000),
    "a crowd at the start": crowd(1),
    "a crowd at the end": crowd(WIDTH * 998 // 1000),
    "rows inserted at the end": [*SPARSE, *range(WIDTH, WIDTH + ROWS)],
}


@pytest.mark.parametrize("wanted", [4, 10, 32])
@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_ranges_stay_balanced_and_cheap_on_awkward_ids(distribution, wanted):
    org = MemoryOrg(map(contact_id, DISTRIBUTIONS[distribution]))
    total = len(org.ids)

    ranges = find_ranges(org, request(100), survey(org, request(100)), wanted=wanted)

    rows = [id_range.rows for id_range in ranges]
    assert sum(rows) == total
    assert max(rows) <= 2 * total / len(ranges)
    assert wanted / 2 <= len(ranges) <= 2 * wanted
    assert org.usage.calls <= 1 + wanted if distribution == "even" else org.usage.calls <= 1 + 2 * wanted + 3 * 40


@pytest.mark.parametrize("wanted", [4, 10, 32])
def test_blocks_of_ids_far_apart_cost_one_round_of_questions_more(wanted):
    org = MemoryOrg(map(contact_id, DISTRIBUTIONS["two blocks far apart"]))

    ranges = find_ranges(org, request(20), survey(org, request(20)), wanted=wanted)

    assert len(ranges) == wanted
    assert max(id_range.rows for id_range in ranges) <= 1.01 * ROWS / wanted
    assert org.usage.calls == 1 + 2 * wanted


@pytest.mark.parametrize(
    ("readers", "pages_of_segments"),
    [(1, [50]), (4, [13, 13, 13, 13]), (16, [4] * 14), (100, [1] * 53)],
    ids=str,
)
def test_ranges_are_as_few_as_keep_the_readers_busy_and_end_with_full_pages(readers, pages_of_segments):
    org = MemoryOrg(map(contact_id, DISTRIBUTIONS["even"]))

    plan = make_plan(org, request(100), readers=readers, run_id="run")

    assert [segment.pages for segment in plan.segments] == pages_of_segments
