"""The documentation: nothing in it leads nowhere, and it names what there is."""

import re
import unicodedata
from pathlib import Path

import airflow.sdk  # noqa: F401 - which loads the provider's metadata itself, and must come first
import pytest
import yaml

from airflow_provider_salesforce_export.get_provider_info import get_provider_info

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.glob("*.md"))
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


@pytest.mark.parametrize("page", [*PAGES, ROOT / "README.md"], ids=lambda page: page.name)
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
