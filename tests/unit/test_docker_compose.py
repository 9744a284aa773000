"""What docker-compose.yaml must keep to; there is no Docker where the tests run."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docker-compose.yaml").read_text()
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load(TEXT)["services"]
LONG_RUNNING = sorted(set(SERVICES) - {"airflow-init", "airflow-cli"})
AIRFLOW_SERVICES = [*sorted(name for name in SERVICES if name.startswith("airflow-")), "flower"]

VARIABLE = re.compile(r"(?<!\$)\$\{(?P<name>\w+)(?::(?P<kind>[-?])(?P<rest>[^}]*))?\}")
SECRET_NAME = re.compile(r"PASSWORD|SECRET|TOKEN|_KEY\b|CLIENT_ID")


def example() -> dict[str, str]:
    lines = (ROOT / ".env.example").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def filled_in(text: str, values: dict[str, str]) -> str:
    """Interpolate as Compose does."""
    return VARIABLE.sub(
        lambda found: values.get(found["name"]) or (found["rest"] if found["kind"] == "-" else ""), text
    )


def environments() -> list[tuple[str, str, str]]:
    return [
        (service, name, str(value))
        for service, definition in SERVICES.items()
        for name, value in definition.get("environment", {}).items()
    ]


def test_each_variable_stands_in_the_example_and_the_other_way_round() -> None:
    assert {found["name"] for found in VARIABLE.finditer(TEXT)} == set(example())


def test_each_dollar_is_a_variable_or_doubled() -> None:
    assert "$" not in VARIABLE.sub("", TEXT).replace("$$", "")


def test_what_is_required_has_no_value_in_the_example() -> None:
    required = {found["name"] for found in VARIABLE.finditer(TEXT) if found["kind"] == "?"}
    assert {"POSTGRES_PASSWORD", "MONGO_PASSWORD", "AIRFLOW_FERNET_KEY", "SALESFORCE_SECRET_ID"} <= required
    assert {name for name in required if example()[name]} == set()


def test_what_is_optional_has_its_default_in_the_example() -> None:
    defaults = {found["name"]: found["rest"] for found in VARIABLE.finditer(TEXT) if found["kind"] == "-"}
    assert {name: value for name, value in example().items() if value} == {
        name: default for name, default in defaults.items() if default not in ("", "null")
    }


def test_no_secret_has_a_default() -> None:
    for found in VARIABLE.finditer(TEXT):
        if SECRET_NAME.search(found["name"]):
            assert not (found["kind"] == "-" and found["rest"]), found["name"]


def test_no_secret_is_written_literally() -> None:
    for service, name, value in environments():
        where = f"{name} of {service}"
        if SECRET_NAME.search(name):
            assert VARIABLE.fullmatch(value), where
        for password in re.findall(r"://[^:/@]*:([^@]+)@", value):
            assert VARIABLE.fullmatch(password), where
        for password in re.findall(r'"\w*(?:password|token|secret|key)": "([^"]*)"', value):
            assert VARIABLE.fullmatch(password), where


@pytest.mark.parametrize("values", [{}, {"SALESFORCE_PROXIES": '{"http": "http://sandbox:8041"}'}])
def test_the_connections_are_json(values: dict[str, str]) -> None:
    secrets = {"MONGO_PASSWORD": "m", "SALESFORCE_CLIENT_ID": "key", "SALESFORCE_SECRET_ID": "secret"}
    environment = SERVICES["airflow-worker"]["environment"]
    connections = {
        name: json.loads(filled_in(environment[f"AIRFLOW_CONN_{name}_DEFAULT"], {**secrets, **values}))
        for name in ("MONGO", "SALESFORCE_EXPORT")
    }
    assert connections["MONGO"]["password"] == "m"
    assert connections["SALESFORCE_EXPORT"]["conn_type"] == "salesforce_export"
    assert connections["SALESFORCE_EXPORT"]["host"] == "login"
    assert connections["SALESFORCE_EXPORT"]["login"] == "key"
    assert connections["SALESFORCE_EXPORT"]["password"] == "secret"
    expected_proxies = json.loads(values.get("SALESFORCE_PROXIES", "null"))
    assert connections["SALESFORCE_EXPORT"]["extra"]["proxies"] == expected_proxies


@pytest.mark.parametrize("service", LONG_RUNNING)
def test_each_long_running_service_is_watched_and_restarted(service: str) -> None:
    how, *command = SERVICES[service]["healthcheck"]["test"]
    assert how in ("CMD", "CMD-SHELL")
    assert all(isinstance(word, str) for word in command)
    assert SERVICES[service]["restart"] == "always"


@pytest.mark.parametrize("service", AIRFLOW_SERVICES)
def test_all_of_airflow_shares_settings_and_files(service: str) -> None:
    common = SERVICES["airflow-apiserver"]
    assert SERVICES[service]["environment"].items() >= common["environment"].items()
    assert SERVICES[service]["environment"]["AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL"] == "1"
    assert SERVICES[service]["volumes"] == common["volumes"]
    assert SERVICES[service]["image"] == common["image"]


def test_workers_can_be_scaled() -> None:
    assert "ports" not in SERVICES["airflow-worker"]
    assert all("container_name" not in definition for definition in SERVICES.values())


def test_the_image_is_built_from_what_is_in_the_checkout_and_without_dot_env() -> None:
    ignored, *kept = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if not line.startswith("#")]
    assert ignored == "*"
    names = [line.removeprefix("!") for line in kept if line.startswith("!")]
    assert {name for name in names if not (ROOT / name).exists()} == set()
    assert {name for name in names if name.startswith(".")} == set()
