"""
Workers as real processes that run the operators, to be killed or paused at a chosen point.

``DagRun`` stands in for Airflow's scheduler and its database: it starts tasks in order, counts their tries, and keeps
what they return in files.
"""

import json
import multiprocessing
import os
import re
import signal
import time
from dataclasses import dataclass, field
from fnmatch import fnmatch
from functools import partial
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import unquote_plus

import psutil
from airflow.sdk import ObjectStoragePath
from airflow.sdk.execution_time.context import OutletEventAccessors

from airflow_provider_salesforce_export import SalesforceExportOperator
from airflow_provider_salesforce_export.exceptions import SalesforceExportError
from airflow_provider_salesforce_export.object_types import CONTACTS
from airflow_provider_salesforce_export.operators.count import SalesforceExportCountOperator
from airflow_provider_salesforce_export.operators.pages import SalesforceExportPagesOperator
from airflow_provider_salesforce_export.operators.publish import SalesforceExportPublishOperator
from tests.integration.conftest import NOW

GROUP = ("count", "pages 0", "pages 1", "publish")
ONE_TASK = ("export",)
TIMEOUT = 180

# Forked from a process that has imported Airflow and found its providers, which takes seconds: as its own workers are.
ObjectStoragePath(Path(__file__).as_uri()).stat()
_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload(
    [
        "airflow.providers.mongo.hooks.mongo",
        "airflow.sdk.execution_time.supervisor",
        "airflow_provider_salesforce_export.export.publish",
        "tests.integration.workers",
    ]
)


@dataclass(frozen=True)
class FilePoint:
    """
    ``before``, in the middle (``half``) of, or ``after`` a call of a method of a file.

    ``name`` is a pattern of the file's name, ``nth`` tells which of such calls.
    """

    moment: str
    method: str
    name: str
    nth: int = 1


@dataclass(frozen=True)
class RequestPoint:
    """While the worker waits for the reply to a query: ``soql`` is a pattern, ``nth`` tells which of such queries."""

    soql: str
    nth: int = 1


@dataclass(frozen=True)
class Try:
    """One try of one task, as it is sent to the worker."""

    task: str
    number: int
    run_id: str
    destination: str
    xcoms: Path
    pagination: str
    environment: dict
    points: list
    signal_number: int

    def pull(self, name):
        return json.loads((self.xcoms / name).read_text())

    def push(self, name, value):
        (self.xcoms / name).write_text(json.dumps(value))

    def operator(self):
        task, _, index = self.task.partition(" ")
        concurrency = 1 if self.pagination == "offset" else 2  # one page after another, or ranges at once
        if task == "publish":
            results = [self.pull(name) for name in GROUP if name.startswith("pages")]
            return SalesforceExportPublishOperator(
                task_id=task,
                object_type=CONTACTS,
                destination=self.destination,
                plan=self.pull("plan"),
                results=results,
            )
        if task == "pages":
            plan, work = self.pull("plan"), self.pull("count")[int(index)]
            return SalesforceExportPagesOperator(task_id=task, plan=plan, work=work, concurrency=concurrency)
        api = {"api": "bulk", "deferrable": False} if self.pagination == "bulk" else {"pagination": self.pagination}
        arguments = {
            **api,
            "task_id": task,
            "object_type": "contacts",
            "destination": self.destination,
            "page_size": 100,
            "full_refresh": False,  # instead of the template, which nobody renders here
            "concurrency": concurrency,
        }
        if task == "count":
            return SalesforceExportCountOperator(max_page_tasks=2, **arguments)
        return SalesforceExportOperator(**arguments)

    def execute(self):
        run = SimpleNamespace(
            dag_id="contacts",
            run_id=self.run_id,
            logical_date=NOW,
            run_after=NOW,
            data_interval_start=NOW,
            data_interval_end=NOW,
        )
        ti = SimpleNamespace(try_number=self.number, xcom_push=lambda key, value: self.push(key, value))
        context = {"dag_run": run, "ti": ti, "outlet_events": OutletEventAccessors()}
        self.push(self.task, self.operator().execute(context))


def _work(job):
    os.environ.update(job.environment)
    for point in job.points:
        _send_oneself(point, job.signal_number)
    try:
        job.execute()
    except SalesforceExportError as error:
        job.push("error", f"{type(error).__name__}: {error}")
        raise SystemExit(1) from None


def _send_oneself(point, signal_number):
    """Send this process a signal when it comes to a point."""
    original, calls = getattr(ObjectStoragePath, point.method), count(1)

    def with_signal(path, *arguments, **options):
        call = partial(original, path, *arguments, **options)
        if not fnmatch(path.name, point.name) or next(calls) != point.nth:
            return call()
        if point.moment == "half":
            original(path, arguments[0][: len(arguments[0]) // 2])
        if point.moment == "after":
            returned = call()
        os.kill(os.getpid(), signal_number)
        return returned if point.moment == "after" else call()

    setattr(ObjectStoragePath, point.method, with_signal)


@dataclass
class Worker:
    """A process that works on one try of a task."""

    process: multiprocessing.Process
    job: Try

    def send(self, signal_number):
        os.kill(self.process.pid, signal_number)

    def resume(self):
        self.send(signal.SIGCONT)

    def end(self):
        """Wait for its end; return its exit code, which is that of the signal, below zero, where one ended it."""
        self.process.join(TIMEOUT)
        assert self.process.exitcode is not None, f"{self.job.task} does not end"
        return self.process.exitcode

    def is_struck(self, signal_number):
        """Return whether a signal has had its effect."""
        if signal_number == signal.SIGKILL:
            return not psutil.pid_exists(self.process.pid) or self._status() == psutil.STATUS_ZOMBIE
        return self._status() == psutil.STATUS_STOPPED

    def wait_until_struck(self, signal_number):
        deadline = time.monotonic() + TIMEOUT
        while not self.is_struck(signal_number):
            assert time.monotonic() < deadline, f"{self.job.task} never came to the point"
            assert self.process.exitcode in (None, -signal_number), f"{self.job.task} ended before the point"
            time.sleep(0.005)

    def error(self):
        return self.job.pull("error")

    def _status(self):
        try:
            return psutil.Process(self.process.pid).status()
        except psutil.NoSuchProcess:
            return None


@dataclass
class DagRun:
    """A run of a DAG with one export."""

    server: object
    run_id: str
    destination: Path
    xcoms: Path
    pagination: str
    environment: dict
    workers: list = field(default_factory=list)
    _tries: dict = field(default_factory=dict)

    def start(self, task, *points, by=signal.SIGKILL):
        """Start the next try of a task; it gets a signal when it comes to one of the points."""
        self._tries[task] = self._tries.get(task, 0) + 1
        xcoms = self.xcoms / self.run_id
        xcoms.mkdir(exist_ok=True)
        job = Try(
            task,
            self._tries[task],
            self.run_id,
            self.destination.as_uri(),
            xcoms,
            self.pagination,
            self.environment,
            [point for point in points if isinstance(point, FilePoint)],
            by,
        )
        worker = Worker(_processes.Process(target=_work, args=(job,)), job)
        for point in points:
            if isinstance(point, RequestPoint):
                self._strike_on_request(worker, point, by)
        self.workers.append(worker)
        worker.process.start()
        return worker

    def pause(self, task, point):
        """Start the next try of a task, and return when it is paused at a point."""
        worker = self.start(task, point, by=signal.SIGSTOP)
        worker.wait_until_struck(signal.SIGSTOP)
        return worker

    def run(self, *tasks):
        """Run tasks to their end, one after another."""
        for task in tasks:
            assert self.start(task).end() == 0

    def plan(self):
        """Return the plan that the task ``count`` has made."""
        return json.loads((self.xcoms / self.run_id / "plan").read_text())

    def _strike_on_request(self, worker, point, signal_number):
        calls, hooks = count(1), self.server.org.before_request

        def strike(_method, _path, query):
            if re.search(point.soql, unquote_plus(query)) and next(calls) == point.nth:
                hooks.remove(strike)
                worker.send(signal_number)
                worker.wait_until_struck(signal_number)

        hooks.append(strike)
