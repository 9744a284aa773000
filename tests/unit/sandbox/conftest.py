from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING

import pytest

from airflow_provider_salesforce_export.sandbox import SandboxOrg, SandboxSettings

if TYPE_CHECKING:
    from collections.abc import Iterator

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=timezone.utc)


@pytest.fixture
def org() -> Iterator[SandboxOrg]:
    org = SandboxOrg(SandboxSettings(contacts=300, deals=60, notes=20, now=NOW))
    yield org
    org.close()
