"""What the fixtures cost those who have the package and never ask for them, or lack what they need."""

import os
import subprocess
import sys

ALWAYS_LOADED = {"airflow_provider_salesforce_export", "airflow_provider_salesforce_export.sandbox"}
MISSING = ["starlette", "uvicorn", "faker", "sqlglot"]


def pytest_of_somebody(folder, source):
    """Run a test in a process of its own, for somebody who has the package but not the extra."""
    (folder / "conftest.py").write_text(f"import sys\nsys.modules.update(dict.fromkeys({MISSING}))\n")
    (folder / "test_it.py").write_text(source)
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "pytest", "-q", str(folder)],
        cwd=folder,
        env={name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_plugin_loads_nothing_until_a_fixture_is_asked_for(tmp_path):
    done = pytest_of_somebody(
        tmp_path,
        "import sys\n"
        "def test_it():\n"
        "    assert 'airflow_provider_salesforce_export.sandbox.pytest_plugin' in sys.modules\n"
        "    ours = {name for name in sys.modules if name.startswith('airflow_provider_salesforce_export')}\n"
        f"    assert ours - {ALWAYS_LOADED} == {{'airflow_provider_salesforce_export.sandbox.pytest_plugin'}}\n"
        f"    assert not {{'airflow', 'pymongo'}} & set(sys.modules)\n",
    )

    assert done.returncode == 0, done.stdout


def test_without_the_extra_a_fixture_says_what_to_install(tmp_path):
    done = pytest_of_somebody(tmp_path, "def test_it(salesforce_org):\n    pass\n")

    assert done.returncode != 0
    assert "pip install 'airflow-provider-salesforce-export[sandbox]'" in done.stdout
    assert "uvicorn" in done.stdout or "starlette" in done.stdout
