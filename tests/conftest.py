"""Airflow in a folder of its own: set before anything imports Airflow, which reads its settings on import."""

import atexit
import os
import shutil
import tempfile

import pytest

for name in [name for name in os.environ if name.startswith("SALESFORCE_")]:
    del os.environ[name]  # settings of whoever runs the tests

AIRFLOW_HOME = tempfile.mkdtemp(prefix="airflow-home-")


def _remove_airflow_home(owner):
    """Remove it after Airflow's own last steps, but not at the end of a process that was forked off."""
    if os.getpid() == owner:
        shutil.rmtree(AIRFLOW_HOME, ignore_errors=True)


atexit.register(_remove_airflow_home, os.getpid())
os.environ.update(
    AIRFLOW_HOME=AIRFLOW_HOME,
    AIRFLOW__CORE__LOAD_EXAMPLES="False",
    AIRFLOW__CORE__UNIT_TEST_MODE="False",
    AIRFLOW__CORE__DAGS_FOLDER=tempfile.mkdtemp(dir=AIRFLOW_HOME),
    AIRFLOW__LOGGING__LOGGING_LEVEL="INFO",
)


@pytest.fixture(scope="session")
def make_private_key():
    """Return PEM of a new RSA private key, and of its public key."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    def make():
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        plain = serialization.NoEncryption()
        private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
        public = key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        return private.decode(), public.decode()

    return make


@pytest.fixture(scope="session")
def key_pair(make_private_key):
    """PEM of an RSA private key that the tests share, and of its public key."""
    return make_private_key()
