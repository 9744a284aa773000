"""Airflow in a folder of its own: set before anything imports Airflow, which reads its settings on import."""

import os
import tempfile

AIRFLOW_HOME = tempfile.mkdtemp(prefix="airflow-home-")
os.environ.update(
    AIRFLOW_HOME=AIRFLOW_HOME,
    AIRFLOW__CORE__LOAD_EXAMPLES="False",
    AIRFLOW__CORE__UNIT_TEST_MODE="False",
    AIRFLOW__CORE__DAGS_FOLDER=tempfile.mkdtemp(dir=AIRFLOW_HOME),
    AIRFLOW__LOGGING__LOGGING_LEVEL="INFO",
)
