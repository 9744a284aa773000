"""What it runs with: the documentation, the metadata of the package, the constraints and the tools say the same."""

import re
from importlib.metadata import metadata, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).parents[2]
SENTENCE = r"Airflow (?P<lowest>3\.\d+) and (?P<highest>3\.\d+),(?: and)? Python (?P<first>3\.\d+) to (?P<last>3\.\d+)"
DISTRIBUTION = "airflow-provider-salesforce-export"


def said_on(page):
    """Return what a page says it runs with: lowest and highest Airflow, first and last Python."""
    return re.search(SENTENCE, (ROOT / page).read_text())


SAID = said_on("docs/compatibility.md")


@pytest.mark.parametrize("page", ["docs/index.md", "README.md"])
def test_other_pages_say_the_same(page):
    assert said_on(page).groupdict() == SAID.groupdict()


def test_the_lowest_airflow_is_the_one_that_is_asked_for_and_the_highest_the_one_that_is_pinned():
    (airflow,) = [
        requirement for requirement in map(Requirement, requires(DISTRIBUTION)) if requirement.name == "apache-airflow"
    ]
    pinned = re.search(r"^apache-airflow==(3\.\d+)", (ROOT / "constraints.txt").read_text(), flags=re.MULTILINE)

    assert airflow.specifier == SpecifierSet(f">={SAID['lowest']},<4")
    assert pinned[1] == SAID["highest"]


def test_the_pythons_are_those_of_the_classifiers_and_later_ones_are_not_shut_out():
    first, last = (int(SAID[end].removeprefix("3.")) for end in ("first", "last"))
    ours = metadata(DISTRIBUTION)

    classified = re.findall(r"Python :: (3\.\d+)$", "\n".join(ours.get_all("Classifier")), flags=re.MULTILINE)
    assert classified == [f"3.{minor}" for minor in range(first, last + 1)]
    assert SpecifierSet(ours["Requires-Python"]) == SpecifierSet(f">={SAID['first']}")


@pytest.mark.parametrize(
    ("tool", "written"),
    [("ruff", r'target-version = "py(\d)(\d+)"'), ("mypy", r'python_version = "(\d)\.(\d+)"')],
)
def test_the_tools_check_for_the_first_python(tool, written):
    assert ".".join(re.search(written, (ROOT / "pyproject.toml").read_text()).groups()) == SAID["first"], tool
