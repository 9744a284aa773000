"""The types that a DAG author's editor sees, and what it shows of them: mypy over the recipes, and the docstrings."""

import inspect
import re
import subprocess
import sys
from importlib import import_module

import pytest

import airflow_provider_salesforce_export as package
from airflow_provider_salesforce_export.sandbox import SandboxOrg, SandboxServer, SandboxSettings, pytest_plugin
from tests.recipes import RECIPES, ROOT, write_recipe

MISTAKES = {
    'SalesforceExportTaskGroup("contacts", destination="file:///data", pagination="ofset")': "arg-type",
    'SalesforceExportTaskGroup("contacts", destination=3)': "arg-type",
    'SalesforceExportTaskGroup("contacts", destination="file:///data", mode=True)': "arg-type",
    'SalesforceExportOperator(task_id="x", object_type="contacts")': "call-arg",
    'SalesforceExportHook().query("SELECT Id FROM Contact").upper()': "attr-defined",
    'ObjectType("x", "Contact", ["Name"])': "arg-type",
    'ObjectType.from_soql("SELECT Name FROM Contact")': "call-arg",
}
"""What an editor should underline, and mypy's name for it."""


def check_types(folder):
    """Run mypy on a folder, as strictly as on the package."""
    command = [sys.executable, "-m", "mypy", "--config-file", str(ROOT / "pyproject.toml")]
    command += ["--explicit-package-bases", "--cache-dir", str(ROOT / ".mypy_cache"), str(folder)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_the_types_of_every_recipe_are_right(tmp_path):
    for number, title in enumerate(RECIPES):
        # In packages of their own, but for the one that consists of several files.
        single = len(RECIPES[title]) == 1
        (path, *_) = write_recipe(title, tmp_path / "single" if single else tmp_path)
        if single:
            path.rename(path.with_name(f"recipe_{number}.py"))

    done = check_types(tmp_path)

    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(rf"no issues found in {sum(map(len, RECIPES.values()))} source files", done.stdout)


def test_an_editor_underlines_mistakes(tmp_path):
    names = "ObjectType, SalesforceExportHook, SalesforceExportOperator, SalesforceExportTaskGroup"
    (tmp_path / "mistakes.py").write_text("\n".join([f"from {package.__name__} import {names}", *MISTAKES]))

    found = dict(re.findall(r"mistakes\.py:(\d+): error: .*\[([\w-]+)\]", check_types(tmp_path).stdout))

    assert found == {str(line): kind for line, kind in enumerate(MISTAKES.values(), start=2)}


def documented_things():
    """Yield the classes and functions that DAG authors and testers use, with their signatures and docstrings."""
    operators = ("count", "pages", "publish", "options", "base")
    modules = [import_module(f"{package.__name__}.operators.{name}") for name in operators]
    classes = [getattr(package, name) for name in package.__all__ if inspect.isclass(getattr(package, name))]
    classes += [
        value
        for module in modules
        for value in vars(module).values()
        if inspect.isclass(value) and value.__module__ == module.__name__
    ]
    for cls in [*classes, SandboxOrg, SandboxServer, SandboxSettings]:
        if "__init__" in vars(cls):
            yield cls.__qualname__, cls.__init__, cls.__doc__
        for name, member in vars(cls).items():
            function = inspect.unwrap(getattr(member, "__func__", member))
            if inspect.isfunction(function) and not name.startswith("_"):
                yield f"{cls.__qualname__}.{name}", function, function.__doc__
            elif isinstance(member, property) and not name.startswith("_"):
                yield f"{cls.__qualname__}.{name}", member.fget, member.__doc__


THINGS = {name: (function, doc) for name, function, doc in documented_things()}


@pytest.mark.parametrize("name", THINGS)
def test_every_parameter_is_typed_and_explained(name):
    function, doc = THINGS[name]
    parameters = [p for p in inspect.signature(function).parameters.values() if p.name not in ("self", "cls")]

    assert doc
    assert doc.strip()
    explained = re.findall(r":param (\w+):", doc)
    assert [p.name for p in parameters if p.name not in explained] == []
    assert [p.name for p in parameters if p.annotation is p.empty] == []
    assert inspect.signature(function).return_annotation is not inspect.Signature.empty


def test_every_fixture_is_typed_and_says_what_it_is():
    fixtures = [value for value in vars(pytest_plugin).values() if type(value).__name__ == "FixtureFunctionDefinition"]

    assert len(fixtures) == 8
    for fixture in fixtures:
        function = inspect.unwrap(fixture)
        assert function.__doc__
        assert all(p.annotation is not p.empty for p in inspect.signature(function).parameters.values())
        assert inspect.signature(function).return_annotation is not inspect.Signature.empty
