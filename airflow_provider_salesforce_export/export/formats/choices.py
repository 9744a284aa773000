"""What a DAG author may choose for the files, and what must be installed for it; loaded whenever a DAG is parsed."""

from __future__ import annotations

from importlib.util import find_spec

from airflow_provider_salesforce_export.exceptions import ConfigurationError

FORMATS = ("json", "jsonl", "csv", "parquet")
COMPRESSIONS = ("gzip", "zstd")
ALWAYS_FLAT = ("csv", "parquet")

_PACKAGES = {"parquet": "pyarrow", "zstd": "zstandard"}


def require_installed(output_format: str, compression: str | None) -> None:
    """
    Make sure that what writes a format is installed.

    :param output_format: One of :data:`FORMATS`.
    :param compression: One of :data:`COMPRESSIONS`, or None.
    :raises ConfigurationError: An extra of this package is missing.
    """
    extra = output_format if output_format == "parquet" else compression or ""  # Parquet brings its own zstd
    package = _PACKAGES.get(extra)
    if package and find_spec(package) is None:
        raise ConfigurationError(
            f"{extra} needs the package {package}, which is not installed: type "
            f"pip install 'airflow-provider-salesforce-export[{extra}]', here and on every worker."
        )
