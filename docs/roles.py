"""Show the reST roles of docstrings, such as ``:class:`ObjectType```, as code: the site's pages are Markdown."""

from __future__ import annotations

import re
from typing import Any

import griffe

_ROLE = re.compile(r":\w+:`~?(?:[\w.]+\.(?=\w+`))?(\w[\w.]*)`")


class Roles(griffe.Extension):
    """Rewrites docstrings."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """
        Rewrite the docstring of a module, class, function or attribute.

        :param obj: What it describes.
        """
        if obj.docstring:
            obj.docstring.value = _ROLE.sub(r"`\1`", obj.docstring.value)
