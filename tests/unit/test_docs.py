"""The documentation: nothing in it leads nowhere, and it names what there is."""

import re
import shlex
import unicodedata
from argparse import ArgumentParser
from ast import literal_eval
from contextlib import suppress
from datetime import timedelta
from inspect import Parameter, getsource, signature
from pathlib import Path
from textwrap import indent

import pytest
import yaml
from airflow.cli.cli_config import ARG_VERBOSE
from airflow.dag_processing.dagbag import DagBag

import airflow_provider_salesforce_export as package
from airflow_provider_salesforce_export import exceptions, object_types, task_groups
from airflow_provider_salesforce_export.cli.definition import get_cli_commands
from airflow_provider_salesforce_export.get_provider_info import get_provider_info
from airflow_provider_salesforce_export.hooks import salesforce_export
from airflow_provider_salesforce_export.operators import base, choices, count, options, pages, publish
from airflow_provider_salesforce_export.operators.export import SalesforceExportOperator
from airflow_provider_salesforce_export.operators.retries import HOPELESS
from airflow_provider_salesforce_export.sandbox import SandboxOrg
from airflow_provider_salesforce_export.task_groups import SalesforceExportTaskGroup
from tests.unit.test_retries import needs_policies

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.glob("*.md"))
README = ROOT / "README.md"
PACKAGE = ROOT / "airflow_provider_salesforce_export"
EXAMPLE = re.compile(r"^```python\n(.*?)^```$", flags=re.DOTALL | re.MULTILINE)
EXAMPLES = [(page.name, example) for page in [*PAGES, README] for example in EXAMPLE.findall(page.read_text())]
IMPORTS_DAG = re.compile(r"import .*\bDAG\b")
PART_OF_A_DAG = re.compile(r"\b(DAG|task|ObjectStoragePath|SalesforceExport\w+)\b")
AROUND = """
from airflow.sdk import DAG, Param
from airflow_provider_salesforce_export import *

with DAG("around"):
    export = SalesforceExportTaskGroup("contacts", group_id="of_the_reader", destination="file:///data/salesforce")
"""
COMMANDS = {command.name: command for group in get_cli_commands() for command in group.subcommands}
COMMAND_LINE = re.compile(r"^airflow salesforce-export ((?:.*\\\n)*.*)$", flags=re.MULTILINE)
COMMAND_LINES = [line for page in [*PAGES, README] for line in COMMAND_LINE.findall(page.read_text())]
METRIC = re.compile(r"[mM]eter(?:\([^)]*\))?\.(count|gauge|time)\(\"([\w.]+)\"(.*)\)")
TYPES = {"count": "counter", "gauge": "gauge", "time": "timer"}
LINK = re.compile(r"(?P<image>!?)\[[^\]]*\]\((?P<target>[^)\s]+)\)")


def prose(page):
    """Return a page without its blocks of code."""
    return re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)


def links(page):
    """Return the targets of links and images within the repository, each as a path and an anchor."""
    for match in LINK.finditer(prose(page)):
        if "://" not in match["target"]:
            path, _, anchor = match["target"].partition("#")
            yield (page.parent / path).resolve() if path else page, anchor


def anchors(page):
    """Return the headings of a page as the site names them in addresses."""
    headings = re.findall(r"^#+ (.+)$", prose(page), flags=re.MULTILINE)
    words = (re.sub(r"[^\w\s-]", "", unicodedata.normalize("NFKD", heading)) for heading in headings)
    return {re.sub(r"[-\s]+", "-", heading.strip().lower()) for heading in words}


def paths_in(nav):
    for entry in nav:
        for target in entry.values():
            yield from [target] if isinstance(target, str) else paths_in(target)


@pytest.mark.parametrize("page", [*PAGES, README], ids=lambda page: page.name)
def test_every_link_and_every_image_leads_somewhere(page):
    for path, anchor in links(page):
        assert path.is_file(), f"{path} is not there"
        assert not anchor or anchor in anchors(path), f"{path.name} has no heading #{anchor}"


def test_every_page_is_in_the_navigation():
    nav = yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"]

    assert sorted(paths_in(nav)) == [page.name for page in PAGES]


def test_every_image_is_shown():
    shown = {path for page in PAGES for path, _ in links(page)}

    assert set((DOCS / "images").iterdir()) <= shown


def test_the_page_on_connections_has_every_field_of_the_form():
    table = (DOCS / "connection.md").read_text().partition("### Extra fields")[2].partition("###")[0]

    documented = re.findall(r"^\| `(\w+)` \|", table, flags=re.MULTILINE)
    assert sorted(documented) == sorted(get_provider_info()["connection-types"][0]["conn-fields"])


def test_the_reference_has_what_tests_of_dag_authors_ask_an_org_for():
    recipe = (DOCS / "recipes.md").read_text().partition("## Test a DAG offline")[2]
    (fixture,) = re.findall(r"^\| `salesforce_org` \| (.+) \|$", recipe, flags=re.MULTILINE)
    asked = {*re.findall(r"`(\w+)`", fixture), *re.findall(r"salesforce_org\.(\w+)", recipe)}
    reference = re.search(r"SandboxOrg\n    options:\n      members: \[(.*)\]", (DOCS / "operators.md").read_text())[1]

    documented = {*reference.split(", "), *re.findall(r"``(\w+)``", SandboxOrg.__doc__)}
    assert {"insert", "fail_next", "token_calls"} <= asked <= documented
    assert all(hasattr(SandboxOrg, member) for member in reference.split(", "))


@pytest.fixture
def sent():
    """The metrics that are sent: by name their type, and whether they tell the object type."""
    found = [metric for module in PACKAGE.rglob("*.py") for metric in METRIC.findall(module.read_text())]
    return {name: (TYPES[kind], "object_type" in arguments) for kind, name, arguments in found}


def test_the_page_on_metrics_has_every_metric_with_its_type_and_its_tags(sent):
    told = {}
    table = (DOCS / "metrics.md").read_text().partition("## Metrics")[2].partition("###")[0]
    for names, kind, tags in re.findall(r"^\| (`.+?) \| (\w+) \| (.+?) \|", table, flags=re.MULTILINE):
        told |= {name: (kind, "`object_type`" in tags) for name in re.findall(r"`([\w.]+)`", names)}
    assert told == sent
    assert len(told) > 15


def test_the_alert_on_the_page_asks_for_a_counter_that_is_sent(sent):
    (block,) = re.findall(r"^```yaml\n(.*?)^```$", (DOCS / "metrics.md").read_text(), flags=re.DOTALL | re.MULTILINE)

    ((rule,),) = (group["rules"] for group in yaml.safe_load(block)["groups"])
    assert {sent[name][0] for name in re.findall(r"airflow_salesforce_export_(\w+)", rule["expr"])} == {"counter"}


def test_the_page_on_errors_has_every_error_and_says_which_fail_at_once():
    page = (DOCS / "errors.md").read_text()
    errors = {
        name: error
        for name, error in vars(exceptions).items()
        if isinstance(error, type) and issubclass(error, exceptions.SalesforceExportError)
    }
    rows = [[cell.strip() for cell in line.split(" | ")] for line in page.splitlines() if line.startswith("| ")]
    fails_at_once, name = {}, None
    for first, _, _, retried, _ in rows[2:]:
        name = re.findall(r"`(\w+)`", first)[0] if "`" in first else None if "(" in first else name
        if name:
            fails_at_once.setdefault(name, set()).add(retried == "fails at once")

    assert {"SalesforceExportError", *fails_at_once} == errors.keys()
    assert fails_at_once == {name: {issubclass(errors[name], HOPELESS)} for name in fails_at_once}


def told_value(text):
    """Return the value that a page tells in words."""
    text = text.strip("`")
    if text.startswith("the run's parameter `full_refresh"):
        return choices.FULL_REFRESH_PARAM
    if amount := re.fullmatch(r"(\d+) (minutes|hours)", text):
        return timedelta(**{amount[2]: int(amount[1])})
    with suppress(ValueError, SyntaxError):
        return literal_eval(text.replace(",", ""))
    return text or None


def defaults_of(cls):
    """Return what a class of this package takes by name, with its defaults: None where there is none."""
    ours = [each for each in cls.__mro__ if each.__module__.startswith(PACKAGE.name) and "__init__" in vars(each)]
    parameters = [parameter for each in ours for parameter in signature(each.__init__).parameters.values()]
    by_name = [parameter for parameter in parameters if parameter.kind is Parameter.KEYWORD_ONLY]
    return {each.name: None if each.default is Parameter.empty else each.default for each in by_name}


def test_the_readme_has_every_argument_of_the_task_group_and_of_the_operator_with_its_default():
    table = README.read_text().partition("| argument | default | meaning |")[2].partition("\n\n")[0]
    told = {}
    for names, default in re.findall(r"^\| (`.+?`) \| (.*?) ?\| .+ \|$", table, flags=re.MULTILINE):
        told |= dict.fromkeys(re.findall(r"`(\w+)`", names), told_value(default))

    assert defaults_of(SalesforceExportTaskGroup) == told | {"group_id": None}
    del told["max_page_tasks"]
    assert defaults_of(SalesforceExportOperator) == told | {"object_type": None}


def test_the_reference_has_the_value_of_every_default_that_its_signatures_show_by_name():
    table = (DOCS / "operators.md").read_text().partition("| name | value |")[2].partition("\n\n")[0]
    told = {}
    for names, values in re.findall(r"^\| (`.+`) \| (.+) \|$", table, flags=re.MULTILINE):
        names = re.findall(r"`(\w+)`", names)
        told |= zip(names, map(told_value, values.split(", ") if len(names) > 1 else [values]), strict=True)

    modules = [task_groups, object_types, salesforce_export, base, count, options, pages, publish]
    shown = {name for module in modules for name in re.findall(r": [^=\n]+ = ([A-Z_]+)[,)\n]", getsource(module))}
    assert told == {name: vars(module)[name] for module in modules for name in shown if name in vars(module)}


def default_of(argument):
    """Return what the help of a command says that an argument is where it is not typed."""
    if argument.kwargs.get("required") or not argument.flags[0].startswith("-"):
        return "needed"
    if argument.kwargs.get("action") == "store_true":
        return "off"
    said = re.search(r"\(default: (\w+)|(\w+) \(default\)", argument.kwargs["help"])
    return said[1] or said[2] if said else ""


def test_the_page_on_commands_has_every_option_with_its_default_and_an_example():
    overview, *sections = re.split(r"^## ", (DOCS / "commands.md").read_text(), flags=re.MULTILINE)
    told = {}
    for section in sections:
        rows = re.findall(r"^\| (`.+?`) \| (.*?) ?\| .+ \|$", section, flags=re.MULTILINE)
        options = {tuple(re.findall(r"`(.+?)`", names)): default.strip("`") for names, default in rows}
        told[section.partition("\n")[0]] = options
        assert COMMAND_LINE.search(section)

    def shown(argument):
        first = argument.flags[0]
        return argument.flags if first.startswith("-") else (argument.kwargs.get("metavar", first),)

    assert told == {
        name: {shown(argument): default_of(argument) for argument in command.args if argument is not ARG_VERBOSE}
        for name, command in COMMANDS.items()
    }
    assert all(ARG_VERBOSE in command.args for command in COMMANDS.values())
    assert ", ".join(f"`{flag}`" for flag in ARG_VERBOSE.flags) in overview


@pytest.mark.parametrize("line", COMMAND_LINES)
def test_every_command_on_a_page_can_be_typed(line):
    name, *typed = shlex.split(line.replace("\\\n", ""))
    parser = ArgumentParser(name, exit_on_error=False)
    for argument in COMMANDS[name].args:
        argument.add_to_parser(parser)

    parser.parse_args(typed)


def test_the_help_of_the_command_that_exports_names_the_defaults_of_the_operator():
    defaults = defaults_of(SalesforceExportOperator)
    named = {}
    for argument in COMMANDS["export"].args:
        name = argument.kwargs.get("dest", argument.flags[-1].lstrip("-").replace("-", "_"))
        if name in defaults and default_of(argument) not in ("", "off", "needed"):
            named[name] = default_of(argument)

    assert named == {name: str(defaults[name]).lower() for name in named}
    assert len(named) == 7


def test_the_reference_begins_with_an_import_of_all_that_is_public():
    example = next(example for page, example in EXAMPLES if page == "operators.md")

    exec(example, imported := {})
    assert {*package.__all__} - {"__version__"} == imported.keys() - {"__builtins__"}


@pytest.mark.parametrize(("page", "example"), EXAMPLES)
def test_every_example_is_python(page, example):
    compile(example, page, "exec")


@pytest.mark.parametrize("example", [example for _, example in EXAMPLES if IMPORTS_DAG.search(example)])
def test_every_dag_on_a_page_is_parsed(example, tmp_path):
    assert parsed(example, tmp_path)


@pytest.mark.parametrize(
    "example",
    [
        pytest.param(example, marks=needs_policies if "retry_policy" in example else ())
        for _, example in EXAMPLES
        if PART_OF_A_DAG.search(example) and not IMPORTS_DAG.search(example) and "SalesforceToS3Operator" not in example
    ],
)
def test_every_part_of_a_dag_on_a_page_is_parsed_within_one(example, tmp_path):
    assert "around" in parsed(AROUND + indent(example, "    "), tmp_path)


def parsed(source, folder):
    """Return the DAGs of a file as Airflow parses it."""
    (folder / "example.py").write_text(source)
    bag = DagBag(dag_folder=str(folder))
    assert bag.import_errors == {}
    return bag.dags
