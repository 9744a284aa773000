"""The version, which pyproject.toml alone states."""

from __future__ import annotations

from importlib.metadata import version

__version__ = version("airflow-provider-salesforce-export")
