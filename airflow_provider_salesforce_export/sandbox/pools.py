"""What the generated records are made of: Faker's words of several countries, made once, and some odd ones."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from faker import Faker

_LOCALES = ("en_US", "de_DE", "fr_FR", "pl_PL", "ja_JP", "es_ES")
_ODD_PEOPLE = (
    ("Seán", "O'Brien", "sean.obrien"),
    ('Dwayne "The Rock"', "Johnson", "dwayne.johnson"),
    ("Back\\slash", "D'Arcy-Müller", "back.slash"),
    ("Zoë 🚀", "Núñez", "zoe.nunez"),
    ("Nguyễn", "Thị Ánh", "nguyen.anh"),
    (None, "%_Percent & <Söhne>", "percent"),
)
_ODD_TEXTS = (
    'She said "call back\\later".\nThen nothing.',
    "Tab\there, CRLF\r\nthere, and an apostrophe's end",
    "🚀 launch; naïve façade, 東京, Łódź",
    "{'json': [null, \"true\"]}",
)

Person = tuple["str | None", str, str]


@dataclass(frozen=True)
class Pools:
    """
    Words to choose from.

    :param people: First name, last name, and what stands before the @ in the address.
    :param companies: Names of accounts.
    :param streets: Streets with numbers, some over two lines.
    :param cities: Cities.
    :param states: States, or None.
    :param postcodes: Post codes.
    :param countries: Countries.
    :param phones: Phone numbers.
    :param titles: Job titles.
    :param texts: Descriptions and notes.
    """

    people: tuple[Person, ...]
    companies: tuple[str, ...]
    streets: tuple[str, ...]
    cities: tuple[str, ...]
    states: tuple[str | None, ...]
    postcodes: tuple[str, ...]
    countries: tuple[str, ...]
    phones: tuple[str, ...]
    titles: tuple[str, ...]
    texts: tuple[str, ...]


@lru_cache(maxsize=4)
def pools(seed: int) -> Pools:
    """
    Return the words that a seed gives.

    :param seed: Any number.
    """
    fakers = [_faker(locale, seed) for locale in _LOCALES]
    english = fakers[0]
    return Pools(
        people=_people(fakers),
        companies=(*(faker.company() for faker in fakers for _ in range(60)), 'O\'Reilly "& Söhne"'),
        streets=(*(faker.street_address() for faker in fakers for _ in range(40)), "Rear Bldg.\n1 Main St"),
        cities=tuple(faker.city() for faker in fakers for _ in range(40)),
        states=(*(english.state() for _ in range(20)), *[None] * 20),
        postcodes=tuple(faker.postcode() for faker in fakers for _ in range(40)),
        countries=("United States", "Germany", "France", "Poland", "Japan", "Spain"),
        phones=tuple(faker.phone_number() for faker in fakers for _ in range(100)),
        titles=tuple(english.job()[:128] for _ in range(100)),
        texts=tuple(english.paragraph(nb_sentences=3) for _ in range(100)) + _ODD_TEXTS,
    )


def _faker(locale: str, seed: int) -> Faker:
    faker = Faker(locale)
    faker.seed_instance(seed)
    return faker


def _people(fakers: list[Faker]) -> tuple[Person, ...]:
    people: list[Person] = []
    for number, faker in enumerate(fakers):
        firsts = [faker.first_name() for _ in range(40)]
        lasts = [faker.last_name() for _ in range(60)]
        for place, first in enumerate(firsts):
            people += [(first, last, f"p{number}{place}.{seat}") for seat, last in enumerate(lasts)]
    # One person in sixty is odd.
    return (*people, *_ODD_PEOPLE * (len(people) // 60 // len(_ODD_PEOPLE)))
