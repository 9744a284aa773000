"""Exports over HTTP of an org in which rows come, change and go while they are read."""

import hashlib
import threading
from datetime import timedelta
from random import Random

import pytest

from airflow_provider_salesforce_export.export.window import Window
from tests.integration.conftest import NOW, request_for, run_export

WINDOW = Window(NOW - timedelta(days=250), NOW - timedelta(days=50))
CHANGES = ("insert", "delete", "undelete", "update", "move")
SMALLEST_PAGE = 9


class History:
    """Changes contacts before every n-th request is answered, and remembers which ones the export may find."""

    def __init__(self, server, random, *, every, include_deleted, window):
        self.org = server.org
        # A record removed for good between two batches of one reply is missing in it: that page fails, to be retried.
        self.kinds = CHANGES if server.settings.batch_size < SMALLEST_PAGE else (*CHANGES, "hard_delete")
        self.random = random
        self.every = every
        self.include_deleted = include_deleted
        self.window = window
        self.requests = 0
        self.counts = []
        self._lock = threading.Lock()
        self.always = self.ever = self._found()
        server.org.before_request.append(self._before_request)

    def _before_request(self, _method, path, _query):
        if path.endswith("/describe"):
            return  # asked beside the first count, which is to be the first that is noted
        with self._lock:
            self.requests += 1
            if self.requests % self.every == 0:
                for _ in range(self.random.randint(1, 4)):
                    self._change()
            self.counts.append(len(self._found()))

    def _rows(self):
        with self.org.store.reading() as connection:
            return connection.execute("SELECT Id, IsDeleted, SystemModstamp FROM Contact ORDER BY Id").fetchall()

    def _found(self):
        start, end = (text[:19] for text in self.window.as_text()) if self.window else ("", "~")
        return {
            record_id
            for record_id, is_deleted, stamp in self._rows()
            if start <= stamp[:19] < end and (self.include_deleted or not is_deleted)
        }

    def _change(self):
        kind = self.random.choice(self.kinds)
        candidates = [record_id for record_id, is_deleted, _ in self._rows() if is_deleted == (kind == "undelete")]
        if not candidates:
            return
        chosen = self.random.choice(candidates)
        if kind == "insert":
            self.org.insert("Contact", LastName="New", SystemModstamp=self._moment())
        elif kind == "update":
            self.org.update("Contact", chosen, Title="Changed")
        elif kind == "move":
            self.org.update("Contact", chosen, SystemModstamp=self._moment())
        else:
            getattr(self.org, kind)("Contact", chosen)
        found = self._found()
        self.always, self.ever = self.always & found, self.ever | found

    def _moment(self):
        return NOW - timedelta(days=self.random.randrange(300))


@pytest.mark.parametrize("window", [None, WINDOW], ids=["all", "window"])
@pytest.mark.parametrize("include_deleted", [False, True], ids=["live", "with recycle bin"])
@pytest.mark.parametrize("pagination", ["offset", "range"])
@pytest.mark.parametrize("every", [1, 2, 5])
def test_every_row_that_is_found_throughout_is_there_once(
    start_org, client_of, tmp_path, every, pagination, include_deleted, window
):
    random = Random(f"{every} {pagination} {include_deleted} {window}")
    server = start_org(contacts=400, batch_size=random.choice([7, 2000]), seed=random.randrange(1000))
    client = client_of(server)
    request = request_for(
        page_size=random.choice([SMALLEST_PAGE, 20, 40]),
        pagination=pagination,
        include_deleted=include_deleted,
        window=window,
    )
    history = History(server, random, every=every, include_deleted=include_deleted, window=window)

    export = run_export(client, request, tmp_path, threads=random.choice([2, 4]), readers=random.choice([1, 4, 8]))

    assert history.always < history.ever
    assert history.always <= set(export.ids) <= history.ever
    assert len(export.ids) == len(set(export.ids))
    manifest = export.manifest
    assert (manifest["count"], manifest["count_after"]) == (history.counts[0], history.counts[-1])
    assert manifest["rows"] == manifest["count"] + manifest["drift"] == len(export.ids)
    assert export.files == sorted(["manifest.json", *(page["file"] for page in manifest["pages"])])
    for page, content in zip(manifest["pages"], export.pages, strict=True):
        raw = (tmp_path / page["file"]).read_bytes()
        assert (page["bytes"], page["sha256"]) == (len(raw), hashlib.sha256(raw).hexdigest())
        ids = [record["Id"] for record in content["data"]]
        assert (page["rows"], page["first_id"], page["last_id"]) == (len(ids), ids[0], ids[-1])
