from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

from airflow_provider_salesforce_export.sandbox import SandboxOrg, SandboxSettings
from airflow_provider_salesforce_export.sandbox.ids import to_18

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=timezone.utc)


def rows(settings: SandboxSettings, table: str) -> list[tuple[Any, ...]]:
    org = SandboxOrg(settings)
    try:
        with org.store.reading() as connection:
            return connection.execute(f'SELECT * FROM "{table}"').fetchall()
    finally:
        org.close()


def test_default_counts_are_exact() -> None:
    org = SandboxOrg(SandboxSettings(now=NOW))
    with org.store.reading() as connection:
        live = {
            table: connection.execute(f'SELECT COUNT(*) FROM "{table}" WHERE IsDeleted = 0').fetchone()[0]
            for table in ("Contact", "Opportunity", "Note")
        }
        recycled = connection.execute("SELECT COUNT(*) FROM Contact WHERE IsDeleted = 1").fetchone()[0]
    org.close()
    assert live == {"Contact": 12_345, "Opportunity": 4_321, "Note": 678}
    assert recycled == 123


def test_same_seed_gives_same_rows() -> None:
    settings = SandboxSettings(contacts=200, deals=20, notes=10, now=NOW)
    assert rows(settings, "Contact") == rows(settings, "Contact")
    assert rows(settings, "Note") == rows(settings, "Note")


def test_another_seed_gives_other_rows() -> None:
    one, other = (SandboxSettings(contacts=200, deals=0, notes=0, now=NOW, seed=seed) for seed in (1, 2))
    assert rows(one, "Contact") != rows(other, "Contact")


def test_an_org_may_be_empty() -> None:
    assert rows(SandboxSettings(contacts=0, deals=0, notes=0, now=NOW), "Contact") == []


def test_contacts_are_odd_enough() -> None:
    org = SandboxOrg(SandboxSettings(contacts=3_000, deals=0, notes=0, now=NOW))
    with org.store.reading() as connection:
        found = connection.execute("SELECT Id, Name, AccountId, Phone, SystemModstamp FROM Contact").fetchall()
    org.close()
    ids = [row[0] for row in found]
    names = "".join(row[1] for row in found)
    assert len(set(ids)) == len(ids)
    assert all(to_18(record_id) == record_id for record_id in ids)
    assert ids != sorted(ids), "a client that relies on the order of rows must be caught"
    assert all(odd in names for odd in ("'", '"', "\\", "🚀", "ł"))
    assert any(row[2] is None for row in found)
    assert any(row[3] is None for row in found)
    stamps = [row[4] for row in found]
    assert min(stamps) >= "2025-11-22"
    assert max(stamps) <= "2026-11-22T12:00:00.000+0000"
    assert len({stamp[:7] for stamp in stamps}) > 10
