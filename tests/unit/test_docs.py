"""The documentation: nothing in it leads nowhere, and it names what there is."""

import re
import unicodedata
from pathlib import Path

import pytest
import yaml
from airflow.dag_processing.dagbag import DagBag

from airflow_provider_salesforce_export.get_provider_info import get_provider_info
from airflow_provider_salesforce_export.sandbox import SandboxOrg

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.glob("*.md"))
README = ROOT / "README.md"
EXAMPLE = re.compile(r"^```python\n(.*?)^```$", flags=re.DOTALL | re.MULTILINE)
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


@pytest.mark.parametrize(
    "example",
    [
        code
        for page in [*PAGES, README]
        for code in EXAMPLE.findall(page.read_text())
        if re.search(r"import DAG\b", code)
    ],
)
def test_every_dag_on_a_page_is_parsed(example, tmp_path):
    (tmp_path / "example.py").write_text(example)

    bag = DagBag(dag_folder=str(tmp_path))

    assert bag.import_errors == {}
    assert bag.dags
