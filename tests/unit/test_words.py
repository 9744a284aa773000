"""How numbers stand in the log."""

import pytest

from airflow_provider_salesforce_export.export.words import counted, size


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0 API calls"), (1, "1 API call"), (2, "2 API calls"), (12_345, "12,345 API calls")]
)
def test_a_noun_has_the_number_of_its_number(number, text):
    assert counted(number, "API call") == text


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0 bytes"),
        (1, "1 byte"),
        (999, "999 bytes"),
        (999_949, "999.9 kB"),
        (999_960, "1.0 MB"),
        (8_120, "8.1 kB"),
        (3_208_189, "3.2 MB"),
        (1_204_500_000, "1,204.5 MB"),
    ],
)
def test_bytes_are_told_in_the_unit_that_shows_them(number, text):
    assert size(number) == text
