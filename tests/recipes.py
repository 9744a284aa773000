"""The recipes of docs/recipes.md: the Python under each heading, as files."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]

_FENCED = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_FILE_NAME = re.compile(r"# (\S+\.py)\n")


def _recipes():
    text = (ROOT / "docs" / "recipes.md").read_text()
    for section in text.split("\n## ")[1:]:
        yield section.partition("\n")[0], _FENCED.findall(section)


RECIPES = dict(_recipes())
"""By heading: the source of each file."""


def write_recipe(title, folder):
    """Write the files of a recipe into a folder: where the first line says, else ``recipe.py``; return their paths."""
    paths = []
    for source in RECIPES[title]:
        name = _FILE_NAME.match(source)
        path = folder / (name[1] if name else "recipe.py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source)
        paths.append(path)
    return paths
