"""
``make matrix``: run tests with the lowest and the highest versions that are supported, on each Python.

Each pair has an environment of its own in ``.matrix``, beside its log. What was seen becomes a row of the table in
docs/compatibility.md; other rows stay as they are: ``make matrix ARGS="--python 3.12 --versions lowest"`` repeats one.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
from datetime import date
from itertools import product
from pathlib import Path

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / ".matrix"
PAGE = ROOT / "docs" / "compatibility.md"
BEGIN, END = "<!-- made by make matrix -->\n", "<!-- end -->\n"
PYTHONS = re.findall(r'"Programming Language :: Python :: (3\.\d+)"', (ROOT / "pyproject.toml").read_text())
VERSIONS = ("lowest", "highest")
FIRST_DAY = "2026-04-08"
"""
The day after Airflow 3.2.0 came out. What pyproject.toml does not name is as old, too.

Newer releases of what an Airflow needs may break it: it sets no upper bounds, but publishes constraints instead.
"""
EXTRAS = "azure,gcs,parquet,s3,sandbox,zstd"
TOOLS = (
    *("apache-airflow-providers-openlineage", "duckdb", "hypothesis", "jsonschema", "moto[s3,server]", "pandas"),
    *("pytest", "pytest-timeout", "responses", "simple-salesforce", "statsd"),
)
TESTS = (
    "tests/unit",
    "--ignore=tests/unit/test_recipe_types.py",  # mypy sees the same types with any version
    "tests/integration/test_airflow.py::test_a_task_group_exports_an_object",
    "tests/integration/test_airflow.py::test_the_operator_does_the_same_in_one_task",
    "tests/integration/test_airflow.py::test_an_expired_token_in_the_middle_is_renewed_once",
    "tests/integration/test_airflow.py::test_what_no_retry_can_mend_fails_at_once",
    "tests/integration/test_assets.py",
    "tests/integration/test_bulk_airflow.py",
    "tests/integration/test_hook.py",
    "tests/integration/test_incremental.py",
    "tests/integration/test_observing.py",
    "tests/integration/test_plugin_export.py",
    "tests/integration/test_recipes.py",
    "tests/integration/test_s3.py",
    "tests/integration/test_task_pages.py",
)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", choices=PYTHONS, action="append")
    parser.add_argument("--versions", choices=VERSIONS, action="append")
    chosen = parser.parse_args()
    FOLDER.mkdir(exist_ok=True)
    seen = {pair: run(*pair) for pair in product(chosen.python or PYTHONS, chosen.versions or VERSIONS)}
    before, _, rest = PAGE.read_text().partition(BEGIN)
    old, _, after = rest.partition(END)
    new = table(seen, old)
    PAGE.write_text(f"{before}{BEGIN}{new}{END}{after}")
    print(new)
    return 0 if all(result["good"] for result in seen.values()) else 1


def run(python, versions):
    """Run the tests of a pair; return what was seen."""
    name = f"{python}-{versions}"
    print(f"Python {python}, {versions} versions: see {FOLDER / name}.log", flush=True)
    result = {"day": date.today().isoformat(), "good": False, "airflow": "", "log": ""}
    with (FOLDER / f"{name}.log").open("w+") as log:
        if not (interpreter := find_python(python)):
            result["tests"] = "not run: this Python was not to be had"
        elif not install(python, versions, interpreter, environment := FOLDER / name, log):
            result["tests"] = "could not be installed"
        else:
            result |= tested(environment / "bin" / "python", log)
    return result


def find_python(python):
    """Return an interpreter of this machine: nothing is downloaded."""
    pyenv = Path(os.getenv("PYENV_ROOT", Path.home() / ".pyenv")).glob("versions/*/bin")
    path = os.pathsep.join([*map(str, pyenv), os.environ["PATH"]])
    command = [*UV, "python", "find", "--no-python-downloads", "--no-project", python]
    return subprocess.run(command, env=os.environ | {"PATH": path}, capture_output=True, text=True).stdout.strip()


def install(python, versions, interpreter, environment, log):
    """Make the environment; return whether all could be installed and goes together."""
    constraints, options = ROOT / "constraints.txt", []
    python_option = ["--python", environment / "bin" / "python"]
    steps = [["venv", "--quiet", "--clear", "--python", interpreter, environment]]
    if versions == "lowest":
        constraints, options = FOLDER / f"{python}-lowest.txt", ["--exclude-newer", FIRST_DAY]
        asked = ["--resolution", "lowest-direct", "--all-extras", "--output-file", constraints, "pyproject.toml"]
        steps.append(["pip", "compile", "--quiet", "--upgrade", *python_option, *options, *asked])
    chosen = ["--constraint", constraints, *options, "--editable", f".[{EXTRAS}]", *TOOLS]
    steps += [["pip", "install", *python_option, *chosen], ["pip", "check", *python_option]]
    return all(called([*UV, *step], log) == 0 for step in steps)


def tested(python, log):
    """Return what the tests say, and what Airflow logs when it imports the provider and its plugin."""
    program = "from importlib.metadata import version; print(version('apache-airflow'))"
    airflow = subprocess.run([python, "-c", program], capture_output=True, text=True, check=True).stdout.strip()
    with tempfile.TemporaryDirectory() as home:
        warnings = airflow_warnings(python, home, log)
    begin = log.tell()
    status = called([python, "-m", "pytest", "-q", "-p", "no:cacheprovider", *TESTS], log)
    log.seek(begin)
    (counts,) = re.findall(r"^.* in [\d.]+s.*$", log.read(), re.MULTILINE)[-1:] or ["no tests"]
    counts = re.sub(r"^=* ?| in [\d.]+s.*$", "", counts)
    return {
        "airflow": airflow,
        "tests": counts,
        "log": f"{len(warnings)} warnings" if warnings else "no warning",
        "good": status == 0 and not warnings,
    }


def airflow_warnings(python, home, log):
    """Return the warnings that Airflow logs while it lists its providers and plugins, ours among them."""
    environment = os.environ | {"AIRFLOW_HOME": home, "PYTHONWARNINGS": "default"}
    shown = ""
    listings = (
        ("providers list --output json", "airflow-provider-salesforce-export"),
        ("plugins --output json", "salesforce_export"),
    )
    for listing, ours in listings:
        command = [python, "-m", "airflow", *listing.split()]
        listed = subprocess.run(command, env=environment, capture_output=True, text=True)
        log.write(listed.stdout + listed.stderr)
        assert ours in listed.stdout, f"airflow {listing} does not show {ours}"
        shown += listed.stdout + listed.stderr
    return [line for line in shown.splitlines() if "Warning" in line or "deprecated" in line]


def called(command, log):
    """Run a command in the checkout, into the log; return its exit status."""
    log.flush()
    status = subprocess.run([*map(str, command)], cwd=ROOT, stdout=log, stderr=subprocess.STDOUT).returncode
    log.seek(0, os.SEEK_END)
    return status


def table(seen, old):
    """Return what was seen as a Markdown table, with the rows of an old one for other pairs."""
    lines = ["| Python | Airflow | tests | log of Airflow | day |", "| --- | --- | --- | --- | --- |"]
    for versions, python in product(VERSIONS, PYTHONS):
        stood = re.search(rf"^\| {re.escape(python)} \| .*\({versions}\).*", old, re.MULTILINE)
        if result := seen.get((python, versions)):
            airflow = f"{result['airflow']} ({versions})".strip()
            lines.append(f"| {python} | {airflow} | {result['tests']} | {result['log']} | {result['day']} |")
        else:
            lines.append(stood[0] if stood else f"| {python} | ({versions}) | not run yet | | |")
    return "".join(f"{line}\n" for line in lines)


UV = [sys.executable, "-m", "uv"]

if __name__ == "__main__":
    sys.exit(main())
