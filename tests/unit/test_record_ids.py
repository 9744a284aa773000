from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_salesforce_export.salesforce.record_ids import DIGITS, interpolate, sort_key

tails = st.text(alphabet=DIGITS, min_size=12, max_size=12)


def test_parts_of_the_way_between_two_ids():
    first, last = "003000000000000AAA", "003000000000004AAA"

    assert [interpolate(first, last, part, 4) for part in (0, 1, 4)] == [
        "003000000000000",
        "003000000000001",
        "003000000000004",
    ]


@given(one=tails, other=tails, parts=st.integers(1, 50))
def test_parts_rise_inside_the_space_and_sort_as_salesforce_sorts(one, other, parts):
    first, last = sorted(("003" + one, "003" + other))

    ids = [interpolate(first, last, part, parts) for part in range(parts + 1)]

    assert ids == sorted(ids)
    assert (ids[0], ids[-1]) == (first, last)
    assert all(len(record_id) == 15 for record_id in ids)


def test_the_checksum_does_not_decide_the_order():
    assert sort_key("003000000000001AAA") == sort_key("003000000000001")
