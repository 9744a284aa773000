from __future__ import annotations

from itertools import pairwise

import pytest

from airflow_provider_salesforce_export.sandbox.ids import decode, encode, next_id, sequence, to_18


def test_checksum_of_a_known_id() -> None:
    # The example of Salesforce's own documentation of the algorithm.
    assert to_18("001A0000006Vm9r") == "001A0000006Vm9rIAC"


def test_18_characters_are_taken_as_they_are() -> None:
    assert to_18("001A0000006Vm9rIAC") == "001A0000006Vm9rIAC"


@pytest.mark.parametrize("wrong", ["001A0000006Vm9rIAA", "001", "", "001A0000006Vm9!", "001A0000006Vm9rIA"])
def test_what_is_no_id_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match="Salesforce Id"):
        to_18(wrong)


def test_base_62_has_the_order_of_ascii() -> None:
    written = [encode(number, 4) for number in range(0, 62**3, 997)]
    assert written == sorted(written)
    assert [decode(text) for text in written] == list(range(0, 62**3, 997))


def test_sequence_counts_over_every_digit() -> None:
    ids = list(sequence("003Tn0000A", 3_840, 4_000))
    assert len(set(ids)) == 4_000
    assert ids == sorted(ids)
    assert all(to_18(record_id) == record_id for record_id in ids)
    assert all(next_id(before) == after for before, after in pairwise(ids))
