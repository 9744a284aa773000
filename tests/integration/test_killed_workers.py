"""Exports whose workers are killed or paused: real processes, and what readers find at every moment."""

import hashlib
import os
import signal
import threading
from collections import Counter

import pytest

from tests.integration.conftest import Export, ids_in
from tests.integration.workers import GROUP, ONE_TASK, TIMEOUT, DagRun, FilePoint, RequestPoint

FORMS = {"task group": GROUP, "one task": ONE_TASK}
UNFINISHED = ".manifest.json*.tmp"


@pytest.fixture
def org(start_org):
    return start_org(contacts=600)


@pytest.fixture
def dag_run(org, connections, tmp_path):
    """Return DAG runs that export the contacts in pages of 100, and all fill the same partition."""
    connections(org)
    environment = {name: value for name, value in os.environ.items() if name.startswith("AIRFLOW_CONN_")}
    (tmp_path / "xcoms").mkdir()
    runs = []

    def dag_run(run_id, *, pagination="offset"):
        run = DagRun(org, run_id, tmp_path / "lake", tmp_path / "xcoms", pagination, environment)
        runs.append(run)
        return run

    yield dag_run
    for worker in [worker for run in runs for worker in run.workers]:
        worker.process.kill()
        worker.process.join()


@pytest.fixture
def read(tmp_path):
    """Read the partition as a careful reader does: all that the manifest names must be there as it says."""

    def read():
        (manifest,) = (tmp_path / "lake" / "contacts").glob("*/manifest.json")
        export = Export(manifest.parent)
        for page, content in zip(export.manifest["pages"], export.pages, strict=True):
            raw = (export.folder / page["file"]).read_bytes()
            assert (page["bytes"], page["sha256"]) == (len(raw), hashlib.sha256(raw).hexdigest())
            assert page["rows"] == len(content["data"])
        assert export.manifest["rows"] == len(export.ids) == len(set(export.ids))
        return export

    return read


def unnamed(export):
    """Return what lies in the folder besides the manifest and its files."""
    return sorted(set(export.files) - {"manifest.json", *(page["file"] for page in export.manifest["pages"])})


def change(org):
    """Have the next export differ from the one before, by as many rows more as less."""
    org.org.delete("Contact", sorted(ids_in(org))[250])
    org.org.insert("Contact", LastName="New")


def move_a_row(org):
    """While pages are read, delete a row of the first one and undelete it: a gap, and an overlap. Return its Id."""
    moving = sorted(ids_in(org))[7]
    at = {"OFFSET+199": org.org.delete, "OFFSET+399": org.org.undelete}

    def move(_method, _path, query):
        for offset in [offset for offset in at if offset in query]:
            at.pop(offset)("Contact", moving)

    org.org.before_request.append(move)
    return moving


def holds_all_but(export, org, moving):
    """Return whether each row of the org is there once; of one that came and went nothing is promised."""
    return Counter(export.ids) - Counter([moving]) == Counter(ids_in(org)) - Counter([moving])


BEFORE_THE_COMMIT = {
    "files checked": FilePoint("before", "read_bytes", "page-00004*"),
    "a gap awaited": RequestPoint("Id <= "),
    "all is repaired": FilePoint("after", "replace", ".page-*-repair*", 2),
    "no manifest yet": FilePoint("before", "write_bytes", UNFINISHED),
    "the manifest not in its place": FilePoint("before", "replace", UNFINISHED),
}
AFTER_THE_COMMIT = {
    "the manifest in its place": FilePoint("after", "replace", UNFINISHED),
    "nothing swept": FilePoint("before", "unlink", "page-*"),
    "in the sweep": FilePoint("before", "unlink", "page-*", 3),
    "all is swept": FilePoint("after", "unlink", "page-*", 7),
}
POINTS = BEFORE_THE_COMMIT | AFTER_THE_COMMIT

# Task of the group, pagination, point.
KILLS = {
    "count, between COUNT and the ranges": ("count", "range", RequestPoint(r"COUNT\(Id\).* WHERE ")),
    "a range, its second page awaited": ("pages 0", "range", RequestPoint("LIMIT 100", 2)),
    "a page awaited": ("pages 1", "offset", RequestPoint("OFFSET 399")),
    "a page half written": ("pages 1", "offset", FilePoint("half", "write_bytes", ".page-00005*")),
    "a page not in its place": ("pages 1", "offset", FilePoint("before", "replace", ".page-00005*")),
    "a page in its place": ("pages 1", "offset", FilePoint("after", "replace", ".page-00005*")),
    "a repaired page half written": ("publish", "offset", FilePoint("half", "write_bytes", ".page-*-repair*")),
    "the manifest half written": ("publish", "offset", FilePoint("half", "write_bytes", UNFINISHED)),
} | {name: ("publish", "offset", point) for name, point in POINTS.items()}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("point", KILLS)
def test_a_worker_is_killed_and_the_next_try_finishes(org, dag_run, read, form, point):
    killed, pagination, at = KILLS[point]
    run = dag_run("run", pagination=pagination)
    # The partition has been filled by another DAG run before, or by this one, which is cleared.
    (dag_run("earlier", pagination=pagination) if form == "task group" else run).run(*FORMS[form])
    before = read()
    change(org)
    moving = move_a_row(org)

    for task in FORMS[form]:
        if task in (killed, "export"):
            assert run.start(task, at).end() == -signal.SIGKILL
            found = read()
            if point in AFTER_THE_COMMIT:
                assert found.manifest["run"] != before.manifest["run"]
                assert holds_all_but(found, org, moving)
            else:
                assert found.manifest == before.manifest
        run.run(task)

    export = read()
    assert export.manifest["run"] != before.manifest["run"]
    assert holds_all_but(export, org, moving)
    assert unnamed(export) == []


@pytest.mark.parametrize("retried", ["publish", "the run"])
@pytest.mark.parametrize("point", POINTS)
def test_a_worker_that_was_thought_dead_changes_nothing_after_a_later_try(org, dag_run, read, point, retried):
    dag_run("earlier").run(*GROUP)
    run = dag_run("run")
    moving = move_a_row(org)
    run.run("count", "pages 0", "pages 1")
    thought_dead = run.pause("publish", POINTS[point])
    if retried == "the run":
        run.run("count", "pages 0", "pages 1")
    run.run("publish")
    later = read()

    thought_dead.resume()

    thought_dead.end()
    export = read()
    assert export.manifest == later.manifest
    assert holds_all_but(export, org, moving)


def test_a_later_try_is_not_replaced_by_an_earlier_one(org, dag_run, read):
    """The earlier try reads on after the later one has swept, so that all it names is there: only its age tells."""
    run = dag_run("run")
    thought_dead = run.pause("export", RequestPoint("SELECT Id, .* LIMIT 101 OFFSET 99"))
    change(org)
    run.run("export")
    later = read()

    thought_dead.resume()

    assert thought_dead.end() == 1
    assert "InconsistentPagesError: A later try of this DAG run has published in" in thought_dead.error()
    assert read().manifest == later.manifest


@pytest.mark.parametrize("point", ["files checked", "no manifest yet", "the manifest not in its place"])
def test_a_worker_that_was_thought_dead_publishes_while_the_later_try_reads(org, dag_run, read, point):
    run = dag_run("run")
    moving = move_a_row(org)
    run.run("count", "pages 0", "pages 1")
    thought_dead = run.pause("publish", POINTS[point])
    run.run("count", "pages 0")

    thought_dead.resume()

    assert thought_dead.end() == 0
    assert holds_all_but(read(), org, moving)
    run.run("pages 1", "publish")
    export = read()
    assert export.manifest["run"] == run.plan()["run"]
    assert holds_all_but(export, org, moving)
    assert unnamed(export) == []


@pytest.mark.parametrize("point", POINTS)
def test_another_run_fills_the_partition_while_one_publishes(org, dag_run, read, point):
    dag_run("earlier").run(*ONE_TASK)
    moving = move_a_row(org)
    run, other = dag_run("run"), dag_run("other")
    run.run("count", "pages 0", "pages 1")
    paused = run.pause("publish", POINTS[point])
    other.run(*GROUP)
    by_other = read().manifest["run"]

    paused.resume()

    assert paused.end() == 0
    export = read()
    assert export.manifest["run"] == (by_other if point in AFTER_THE_COMMIT else run.plan()["run"])
    assert holds_all_but(export, org, moving)
    assert all(by_other in name for name in unnamed(export))


def test_files_that_another_run_swept_are_not_published_but_read_again(org, dag_run, read):
    run, other = dag_run("run"), dag_run("other")
    run.run(*GROUP)
    again = run.pause("publish", POINTS["no manifest yet"])
    other.run(*GROUP)
    by_other = read().manifest

    again.resume()

    assert again.end() == 1
    assert "InconsistentPagesError: Another run has published in" in again.error()
    assert read().manifest == by_other
    run.run("publish")
    export = read()
    assert export.manifest["run"] not in (by_other["run"], run.plan()["run"])
    assert export.holds_exactly(ids_in(org))
    assert unnamed(export) == []


def test_a_sweep_spares_what_a_later_try_published(org, dag_run, read):
    """The later try has written its pages when the earlier one publishes, and publishes when that one is to sweep."""
    run = dag_run("run")
    run.run("count", "pages 0", "pages 1")
    points = (RequestPoint("COUNT"), POINTS["the manifest in its place"])
    thought_dead = run.start("publish", *points, by=signal.SIGSTOP)
    thought_dead.wait_until_struck(signal.SIGSTOP)
    run.run("count", "pages 0", "pages 1")
    thought_dead.resume()
    thought_dead.wait_until_struck(signal.SIGSTOP)
    run.run("publish")
    later = read()

    thought_dead.resume()

    assert thought_dead.end() == 0
    export = read()
    assert export.manifest == later.manifest
    assert export.holds_exactly(ids_in(org))
    assert unnamed(export) == []


def test_a_sweep_spares_what_was_published_again_meanwhile(org, dag_run, read):
    earlier, run = dag_run("earlier"), dag_run("run")
    earlier.run(*GROUP)
    run.run("count", "pages 0", "pages 1")
    sweeping = run.pause("publish", POINTS["nothing swept"])
    earlier.run("publish")

    sweeping.resume()

    assert sweeping.end() == 0
    export = read()
    assert export.manifest["run"][:8] == earlier.plan()["run"][:8]
    assert export.holds_exactly(ids_in(org))
    assert unnamed(export) == []


def test_two_runs_fill_a_partition_at_once(org, dag_run, read):
    """Both count again at the same moment, directly before their commits."""
    both = threading.Barrier(2, timeout=TIMEOUT)
    org.org.before_request.append(lambda _method, _path, query: "COUNT%28%29" in query and both.wait())

    for number in range(1, 4):
        workers = [dag_run(f"{name} {number}").start("export") for name in ("one", "two")]

        assert [worker.end() for worker in workers] == [0, 0]
        export = read()
        assert export.holds_exactly(ids_in(org))
        assert len({name.rpartition("-")[2] for name in unnamed(export)}) <= number  # of those that were replaced
        change(org)


BULK_KILLS = {
    "the job noted": ("count", FilePoint("after", "replace", ".bulk-job-*.tmp")),
    "a chunk half written": ("pages 1", FilePoint("half", "write_bytes", ".page-00005*")),
    "a chunk in its place": ("pages 1", FilePoint("after", "replace", ".page-00005*")),
    "the manifest not in its place": ("publish", POINTS["the manifest not in its place"]),
    "the manifest in its place": ("publish", POINTS["the manifest in its place"]),
    "the note swept": ("publish", FilePoint("after", "unlink", ".bulk-job-*.json")),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("point", BULK_KILLS)
def test_a_worker_is_killed_and_the_next_try_goes_on_with_its_bulk_job(org, dag_run, read, form, point):
    org.settings.bulk_chunk_size = 100
    org.settings.bulk_seconds = 0.5 if point == "the job noted" else 0
    killed, at = BULK_KILLS[point]
    run = dag_run("run", pagination="bulk")

    for task in FORMS[form]:
        if task in (killed, "export"):
            assert run.start(task, at).end() == -signal.SIGKILL
        run.run(task)

    # Where one task does all, and died when it had published, the next try begins anew: its job was done with.
    again = form == "one task" and point == "the note swept"
    assert org.org.bulk_jobs.submitted == (2 if again else 1)
    assert len(org.org.bulk_jobs.all()) == (1 if again else 0)
    assert sorted(read().ids) == sorted(ids_in(org))
    assert unnamed(read()) == []
