"""``make demo`` and ``make ui`` as a newcomer runs them: in processes of their own, with Airflow's real scheduler."""

import json
import os
import re
import signal
import socket
import subprocess
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from tests.system.conftest import ROOT, Airflow, read_until, started, wait_until

pytestmark = pytest.mark.timeout(1800)


@contextmanager
def taken_port(port):
    """Have a port taken, by us or by whoever has it."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with suppress(OSError):
            listener.bind(("127.0.0.1", port))
            listener.listen()
        yield


def processes_in(folder):
    """Return the command lines of processes that work in a folder, or have an environment that names it."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            environment, command = (entry / "environ").read_bytes(), (entry / "cmdline").read_bytes()
            works_in = os.readlink(entry / "cwd").encode()  # some, such as Redis, write over the other two
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
        if str(folder).encode() in environment + command + works_in:
            found.append(command.replace(b"\0", b" ").decode())
    return found


def backfilled_window(api, dag_id, moment):
    """Backfill a day as Airflow's form does where only the day is chosen; return the window that was exported."""
    day = f"{moment:%Y-%m-%d}"
    api.post(
        "backfills",
        {
            "dag_id": dag_id,
            "from_date": f"{day}T00:00:00.000Z",
            "to_date": f"{day}T23:59:59.999Z",
            "reprocess_behavior": "none",
            "max_active_runs": 1,
            "run_backwards": False,
            "dag_run_conf": None,
        },
    )
    (run,) = api.get(f"dags/{dag_id}/dagRuns", run_type="backfill")["dag_runs"]
    path = f"dags/{dag_id}/dagRuns/{run['dag_run_id']}"
    wait_until(lambda: api.get(path)["state"] in ("success", "failed"))
    assert api.get(path)["state"] == "success"
    summary = api.get(f"{path}/taskInstances/notes.publish/xcomEntries/return_value")["value"]
    window = json.loads(Path(summary["manifest"].removeprefix("file://")).read_bytes())["window"]
    assert window["start"].startswith(day)
    return window


def test_the_demo_exports_every_record_once_and_shows_what_it_did(checkout, monkeypatch):
    monkeypatch.setenv("PYTHONWARNINGS", "default::DeprecationWarning")  # which Python hides otherwise
    with started("demo", checkout) as demo:
        shown, _ = demo.communicate(timeout=1200)

    assert demo.returncode == 0, shown
    for name, rows in (("contacts", "12,345"), ("deals", "4,321"), ("notes", "678")):
        assert re.search(rf"{name} +│ +{rows} │ +\d+ │ +{rows} │", shown)
    assert "renewing the access token" in shown
    assert "Every record of the org is there exactly once" in shown
    assert "make ui" in shown
    assert len(list(checkout.glob(".demo/demo/pages/*/*/manifest.json"))) == 3
    logged = (checkout / ".demo" / "demo.log").read_text()
    assert "renewing the access token" in logged
    # Airflow logs what a DAG file warns of without its category.
    assert [
        line for line in (shown + logged).splitlines() if re.search(r"Deprecat|deprecated|py\.warnings", line)
    ] == []
    assert processes_in(checkout) == []


def test_ctrl_c_ends_the_demo_and_all_that_it_started(checkout):
    with started("demo", checkout) as demo:
        read_until(demo, "Running the DAG salesforce_contacts")
        demo.send_signal(signal.SIGINT)
        shown, _ = demo.communicate(timeout=300)

    assert demo.returncode == 130
    assert shown.index("Stopping") < shown.index("Stopped.")
    wait_until(lambda: processes_in(checkout) == [])


def first_runs(api):
    """Return the runs of the example DAGs that the scheduler makes by itself, once they are all there."""
    runs = api.get("dags/~/dagRuns")["dag_runs"]
    return runs if len(runs) >= len(list((ROOT / "dags").glob("*.py"))) else [{"state": "awaited"}]


def test_the_ui_runs_a_dag_with_the_real_scheduler_on_another_port_where_8080_is_taken(checkout):
    # 8793 is where Airflow serves a task's log from, unless told otherwise.
    with taken_port(8080), taken_port(8793), started("demo.ui", checkout) as ui:
        shown = read_until(ui, "Ctrl-C stops everything")
        address = re.search(r"http://127\.0\.0\.1:(\d+)  no login needed", shown)
        assert address[1] != "8080"
        assert "Port 8080 is taken" in shown
        api = Airflow(f"http://127.0.0.1:{address[1]}")
        # While several runs write at once, Airflow on SQLite has answered a trigger with a database error.
        wait_until(lambda: all(run["state"] in ("success", "failed") for run in first_runs(api)))

        run = api.post("dags/salesforce_notes/dagRuns", {"logical_date": None, "conf": {"page_size": 100}})
        path = f"dags/salesforce_notes/dagRuns/{run['dag_run_id']}"
        wait_until(lambda: api.get(path)["state"] in ("success", "failed"))

        assert api.get(path)["state"] == "success"
        labels = [
            task["rendered_map_index"]
            for task in api.get(f"{path}/taskInstances/notes.pages/listMapped")["task_instances"]
        ]
        rows = [*((100 * page + 1, 100 * page + 100) for page in range(6)), (601, 678)]
        assert sorted(labels) == [f"page {page} of 7 · rows {a}-{b}" for page, (a, b) in enumerate(rows, start=1)]
        summary = api.get(f"{path}/taskInstances/notes.publish/xcomEntries/return_value")["value"]
        manifest = json.loads(Path(summary["manifest"].removeprefix("file://")).read_bytes())
        assert (manifest["rows"], manifest["page_size"], len(manifest["pages"])) == (678, 100, 7)
        assert api.get("connections/salesforce_export_default")["login"] == "sandbox-client-id"

        assert (checkout / ".demo" / "ui.env").stat().st_mode & 0o077 == 0
        shell_line = re.search(r"Commands +(\S+ \S+) +in another terminal; then: (.+)", shown)
        typed = f"{shell_line[1]} && {shell_line[2]} --output plain"
        keys = subprocess.run(["sh", "-c", typed], cwd=checkout, capture_output=True, text=True, timeout=300)
        assert "connected" in keys.stdout, keys.stderr

        window = backfilled_window(api, "salesforce_notes", datetime.now(timezone.utc) - timedelta(days=10))
        ui.send_signal(signal.SIGINT)
        ui.communicate(timeout=300)

    assert ui.returncode == 0
    assert window["cursor_field"] == "SystemModstamp"
    logged = (checkout / ".demo" / "ui.log").read_text()
    assert "The HMAC key is" not in logged
    assert "address already in use" not in logged
    wait_until(lambda: processes_in(checkout) == [])
