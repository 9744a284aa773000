"""What Airflow discovers, and what importing the package costs."""

import subprocess
import sys
from importlib import import_module
from importlib.metadata import distribution

import jsonschema
import pytest
from airflow.sdk import DAG
from airflow.sdk.providers_manager_runtime import ProvidersManagerTaskRuntime

import airflow_provider_salesforce_export as package
from airflow_provider_salesforce_export.get_provider_info import get_provider_info
from airflow_provider_salesforce_export.hooks.connection import ConnectionSettings
from airflow_provider_salesforce_export.salesforce.grants import GRANT_TYPES

CONNECTION_TYPE = get_provider_info()["connection-types"][0]
FIELDS = CONNECTION_TYPE["conn-fields"]
IMPORT_EACH = """
import sys
from importlib import import_module
from pkgutil import walk_packages

import airflow_provider_salesforce_export as package

for name in [module.name for module in walk_packages(package.__path__, f"{package.__name__}.")]:
    for loaded in [loaded for loaded in sys.modules if loaded.startswith(package.__name__)]:
        del sys.modules[loaded]
    import_module(name)
"""


def test_airflow_finds_the_connection_type_and_its_hook():
    hook = ProvidersManagerTaskRuntime().hooks["salesforce_export"]

    assert hook.hook_name == "Salesforce Export"
    assert hook.connection_id_attribute_name == "salesforce_conn_id"


def test_the_entry_point_leads_to_the_metadata():
    entry_points = distribution("airflow-provider-salesforce-export").entry_points
    (entry_point,) = entry_points.select(group="apache_airflow_provider")

    assert entry_point.load()() == get_provider_info()


def test_every_class_path_imports():
    module, _, name = CONNECTION_TYPE["hook-class-name"].rpartition(".")

    assert getattr(import_module(module), name) is package.SalesforceExportHook


def test_the_metadata_has_the_form_that_airflow_demands():
    from airflow.providers_manager import _create_provider_info_schema_validator

    _create_provider_info_schema_validator().validate(get_provider_info())


@pytest.mark.parametrize("name", FIELDS)
def test_every_field_has_a_label_a_help_text_and_a_valid_schema_and_may_stay_as_it_is(name):
    field = FIELDS[name]

    assert field["label"]
    assert field["description"]
    jsonschema.Draft7Validator.check_schema(field["schema"])
    jsonschema.validate(field["schema"].get("default"), field["schema"])


def test_the_form_and_the_hook_know_the_same_fields():
    of_the_connection_itself = {"login_url", "login_page_url", "client_id", "client_secret"}

    assert FIELDS.keys() | of_the_connection_itself == ConnectionSettings.__dataclass_fields__.keys()
    assert FIELDS["grant_type"]["schema"]["enum"] == list(GRANT_TYPES)
    assert FIELDS["grant_type"]["schema"]["default"] == ConnectionSettings.grant_type


def test_the_configuration_of_airflow_knows_the_encryption_keys_as_a_secret():
    from airflow.configuration import conf

    assert ("salesforce_export", "key_encryption_keys") in conf.sensitive_config_values


def test_every_public_name_is_there():
    for name in package.__all__:
        assert getattr(package, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        package.Nothing  # noqa: B018 - the access is what is tested


def test_a_dag_file_loads_no_driver_and_no_client():
    """Every task pays for the imports of its DAG file."""
    program = (
        "import sys; import airflow.sdk; from airflow.providers.common.compat.sdk import BaseHook; "
        "before = set(sys.modules); "
        "from airflow_provider_salesforce_export import *; "
        "print(*(set(sys.modules) - before) & {'pymongo', 'requests', 'urllib3', 'tenacity'})"
    )

    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout

    assert loaded.strip() == ""


def test_the_metadata_imports_nothing_of_airflow():
    """Airflow may ask for them while a module of this package waits for its first import of Airflow."""
    program = (
        "import sys; import airflow_provider_salesforce_export.get_provider_info; "
        "print(*(name for name in sys.modules if name.split('.')[0] == 'airflow'))"
    )

    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout

    assert loaded.strip() == ""


def test_every_module_can_be_the_first_that_is_imported():
    """Except for the first of them, once Airflow has been: it asks for the metadata once alone."""
    subprocess.run([sys.executable, "-c", IMPORT_EACH], capture_output=True, text=True, check=True)


def test_constructors_do_no_io(monkeypatch):
    import socket

    def refuse(*_):
        raise AssertionError("a constructor opened a connection")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr("airflow.sdk.BaseHook.get_connection", refuse)

    package.SalesforceExportHook("missing")
    package.SalesforceExportOperator(task_id="export", object_type="contacts", destination="s3://bucket/x")
    with DAG("nightly"):
        package.SalesforceExportTaskGroup("contacts", destination="s3://bucket/x", destination_conn_id="missing")
