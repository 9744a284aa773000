"""Fills a store with records that look like an org's, the same for the same seed."""

from __future__ import annotations

from base64 import b64encode
from datetime import datetime, timedelta
from functools import lru_cache
from itertools import chain
from random import Random
from typing import TYPE_CHECKING, Any

from airflow_provider_salesforce_export.sandbox import objects
from airflow_provider_salesforce_export.sandbox.ids import sequence
from airflow_provider_salesforce_export.sandbox.pools import pools

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_salesforce_export.sandbox.schema import SObject
    from airflow_provider_salesforce_export.sandbox.settings import SandboxSettings
    from airflow_provider_salesforce_export.sandbox.store import Store

_CHUNK = 20_000
_DAYS = 365
_DAY = 86_400
_RECYCLED = 0.01
_USERS = 25
_PROBABILITIES = dict(zip(objects.STAGES, (10.0, 20.0, 35.0, 65.0, 80.0, 100.0, 0.0), strict=True))
# An old instance and a newer one: real orgs have blocks of Ids far apart.
_INSTANCES = ("5g00000", "Tn0000A")
_RUN = 1_000
_GAP = 37

Columns = dict[str, Any]


def populate(store: Store, settings: SandboxSettings, now: datetime) -> None:
    """
    Fill a new store.

    :param store: The store.
    :param settings: Sizes and seed.
    :param now: The end of the 365 days in which the records came about.
    """
    _Generator(store, settings, now).run()
    store.finish_loading()


class _Generator:
    def __init__(self, store: Store, settings: SandboxSettings, now: datetime) -> None:
        self.store = store
        self.settings = settings
        self.now = now
        self.pools = pools(settings.seed)
        self.random = Random(settings.seed)
        start = now - timedelta(days=_DAYS)
        midnight = start.replace(hour=0, minute=0, second=0, microsecond=0)
        self.first_second = int((start - midnight).total_seconds())
        self.days = [(midnight + timedelta(days=day)).strftime("%Y-%m-%d") for day in range(_DAYS + 2)]
        self.clock = _clock()

    def run(self) -> None:
        settings = self.settings
        self.users = _ids(objects.USER.prefix, _USERS)
        self.accounts = _ids(objects.ACCOUNT.prefix, _with_recycled(max(1, settings.contacts // 10)))
        self.parents = [*self.accounts[:200], *_ids(objects.CONTACT.prefix, settings.contacts)[:200]]
        self._load(objects.USER, _USERS, 0, self._user)
        self._load(objects.ACCOUNT, max(1, settings.contacts // 10), _RECYCLED, self._account)
        self._load(objects.CONTACT, settings.contacts, _RECYCLED, self._contact)
        self._load(objects.OPPORTUNITY, settings.deals, _RECYCLED, self._opportunity)
        self._load(objects.NOTE, settings.notes, _RECYCLED, self._note)
        self._load(objects.ATTACHMENT, 20, 0, self._attachment)

    def _load(self, sobject: SObject, live: int, recycled: float, make: Any) -> None:
        total = _with_recycled(live) if recycled else live
        ids = _ids(sobject.prefix, total)
        deleted = set(self.random.sample(range(total), total - live))
        # Without ORDER BY, records come in the order of this list: never in that of their Ids.
        places = list(range(total))
        self.random.shuffle(places)
        chunks = self._chunks(ids, places, deleted, make)
        first = next(chunks, None)
        if first is None:
            self.store.load(sobject, ["Id"], [], next(sequence(sobject.prefix + _INSTANCES[1], 0, 1)))
            return
        rows = chain.from_iterable(zip(*chunk.values(), strict=False) for chunk in chain([first], chunks))
        self.store.load(sobject, list(first), rows, ids[-1])

    def _chunks(self, ids: list[str], places: list[int], deleted: set[int], make: Any) -> Iterator[Columns]:
        for start in range(0, len(places), _CHUNK):
            chunk = places[start : start + _CHUNK]
            columns: Columns = {
                "Id": [ids[place] for place in chunk],
                "IsDeleted": [int(place in deleted) for place in chunk],
            }
            columns.update(make(chunk))
            columns.update(self._stamps(chunk, len(ids)))
            yield columns

    def _stamps(self, places: list[int], total: int) -> Columns:
        """Return the system fields: records with greater Ids came later, and changed some time since."""
        last = _DAYS * _DAY - 1
        created = [place * last // total for place in places]
        modified = [begun + int(self.random.random() * (last - begun)) for begun in created]
        # Automation moves SystemModstamp, and nothing else, of one record in ten.
        delays = self._pick((0, 0, 0, 0, 0, 0, 0, 0, 0, 1800), len(places))
        stamped = [min(last, moment + delay) for moment, delay in zip(modified, delays, strict=True)]
        return {
            "CreatedDate": self._times(created),
            "CreatedById": self._pick(self.users, len(places)),
            "LastModifiedDate": self._times(modified),
            "LastModifiedById": self._pick(self.users, len(places)),
            "SystemModstamp": self._times(stamped),
        }

    def _times(self, seconds: list[int]) -> list[str]:
        days, clock, first = self.days, self.clock, self.first_second
        return [days[(second + first) // _DAY] + clock[(second + first) % _DAY] for second in seconds]

    def _pick(self, pool: Any, count: int, nulls: float = 0.0) -> list[Any]:
        """Choose from a pool, with a share of nulls."""
        if nulls:
            pool = [*pool, *[None] * max(1, round(len(pool) * nulls / (1 - nulls)))]
        return self.random.choices(pool, k=count)

    def _user(self, places: list[int]) -> Columns:
        people = self._pick(self.pools.people, len(places))
        return {
            "Username": [f"user{place}@sandbox.example" for place in places],
            **_names(people),
            "Alias": [f"{last[:4]}{place}" for place, (_, last, _) in zip(places, people, strict=True)],
            "Email": [f"user{place}@sandbox.example" for place in places],
            "IsActive": [1] * len(places),
        }

    def _account(self, places: list[int]) -> Columns:
        count = len(places)
        companies = self._pick(self.pools.companies, count)
        return {
            "Name": [f"{company} {place}" for company, place in zip(companies, places, strict=True)],
            "Type": self._pick(("Prospect", "Customer", "Partner", "Other"), count, 0.2),
            "Industry": self._pick(objects.INDUSTRIES, count, 0.3),
            **self._address("Billing", count),
            "Phone": self._pick(self.pools.phones, count, 0.1),
            "Website": [f"https://www.account{place}.example" for place in places],
            "AnnualRevenue": [float(1000 * number) for number in self._pick(range(1, 50_000), count)],
            "NumberOfEmployees": self._pick(range(1, 5_000), count, 0.1),
            "Description": self._pick(self.pools.texts, count, 0.4),
            "OwnerId": self._pick(self.users, count),
        }

    def _contact(self, places: list[int]) -> Columns:
        count = len(places)
        people = self._pick(self.pools.people, count)
        emails = [f"{handle}.{place}@mail.example" for place, (_, _, handle) in zip(places, people, strict=True)]
        return {
            "AccountId": self._pick(self.accounts, count, 0.08),
            **_names(people),
            "Salutation": self._pick(objects.SALUTATIONS, count, 0.4),
            **self._address("Mailing", count),
            "Phone": self._pick(self.pools.phones, count, 0.1),
            "MobilePhone": self._pick(self.pools.phones, count, 0.5),
            "Email": [None if place % 25 == 7 else email for place, email in zip(places, emails, strict=True)],
            "Title": self._pick(self.pools.titles, count, 0.1),
            "Department": self._pick(("Sales", "Finance", "IT", "Einkauf", "Direction générale"), count, 0.3),
            "LeadSource": self._pick(objects.SOURCES, count, 0.3),
            "Birthdate": self._pick(
                [f"{1940 + n % 66}-{n % 12 + 1:02d}-{n % 28 + 1:02d}" for n in range(500)], count, 0.5
            ),
            "Description": self._pick(self.pools.texts, count, 0.6),
            "DoNotCall": self._pick((0, 0, 0, 1), count),
            "HasOptedOutOfEmail": self._pick((0, 0, 0, 0, 1), count),
            "Satisfaction__c": self._pick([n / 8 for n in range(81)], count, 0.5),
            "OwnerId": self._pick(self.users, count),
        }

    def _opportunity(self, places: list[int]) -> Columns:
        count = len(places)
        companies = self._pick(self.pools.companies, count)
        stages = self._pick(objects.STAGES, count)
        future = [(self.now + timedelta(days=day)).strftime("%Y-%m-%d") for day in range(1, 91)]
        return {
            "AccountId": self._pick(self.accounts, count, 0.03),
            "Name": [f"{company[:90]} - Deal {place}" for company, place in zip(companies, places, strict=True)],
            "Description": self._pick(self.pools.texts, count, 0.5),
            "StageName": stages,
            "Amount": [
                None if cents % 20 == 3 else cents / 100 for cents in self._pick(range(10_000, 90_000_000), count)
            ],
            "Probability": [_PROBABILITIES[stage] for stage in stages],
            "CloseDate": self._pick([*self.days, *future], count),
            "LeadSource": self._pick(objects.SOURCES, count, 0.3),
            "IsClosed": [int(stage.startswith("Closed")) for stage in stages],
            "IsWon": [int(stage == "Closed Won") for stage in stages],
            "OwnerId": self._pick(self.users, count),
        }

    def _note(self, places: list[int]) -> Columns:
        count = len(places)
        titles = self._pick(self.pools.titles, count)
        return {
            "ParentId": self._pick(self.parents, count),
            "Title": [f"{title[:60]} {place}" for title, place in zip(titles, places, strict=True)],
            "IsPrivate": self._pick((0, 0, 0, 1), count),
            "Body": self._pick(self.pools.texts, count, 0.05),
            "OwnerId": self._pick(self.users, count),
        }

    def _attachment(self, places: list[int]) -> Columns:
        bodies = [f"Attachment number {place}\n".encode() for place in places]
        return {
            "ParentId": self._pick(self.parents, len(places)),
            "Name": [f"attachment-{place}.txt" for place in places],
            "IsPrivate": [0] * len(places),
            "ContentType": ["text/plain"] * len(places),
            "BodyLength": [len(body) for body in bodies],
            "Body": [b64encode(body).decode() for body in bodies],
            "OwnerId": self._pick(self.users, len(places)),
        }

    def _address(self, prefix: str, count: int) -> Columns:
        return {
            f"{prefix}Street": self._pick(self.pools.streets, count, 0.2),
            f"{prefix}City": self._pick(self.pools.cities, count, 0.1),
            f"{prefix}State": self._pick(self.pools.states, count),
            f"{prefix}PostalCode": self._pick(self.pools.postcodes, count, 0.2),
            f"{prefix}Country": self._pick(self.pools.countries, count, 0.1),
        }


@lru_cache(maxsize=1)
def _clock() -> tuple[str, ...]:
    """Return the seconds of a day as they end a time stamp."""
    return tuple(
        f"T{hour:02d}:{minute:02d}:{second:02d}.000+0000"
        for hour in range(24)
        for minute in range(60)
        for second in range(60)
    )


def _names(people: list[Any]) -> Columns:
    firsts, lasts, _ = zip(*people, strict=True)
    names = [f"{first} {last}" if first else last for first, last in zip(firsts, lasts, strict=True)]
    return {"FirstName": firsts, "LastName": lasts, "Name": names}


def _with_recycled(live: int) -> int:
    return live + (max(1, round(live * _RECYCLED)) if live else 0)


def _ids(prefix: str, total: int) -> list[str]:
    """Return Ids in order: a fifth from an older instance, the rest from a newer one, with small gaps."""
    old = total // 5
    return [*_runs(prefix + _INSTANCES[0], old), *_runs(prefix + _INSTANCES[1], total - old)]


def _runs(head: str, count: int) -> Iterator[str]:
    for start in range(0, count, _RUN):
        yield from sequence(head, start // _RUN * (_RUN + _GAP), min(_RUN, count - start))
