from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_salesforce_export.salesforce.record_ids import DIGITS, cut_evenly, sort_key

tails = st.text(alphabet=DIGITS, min_size=12, max_size=12)


def test_an_even_cut():
    assert cut_evenly("003000000000000AAA", "003000000000004AAA", 4) == [
        "003000000000001",
        "003000000000002",
        "003000000000003",
    ]


def test_a_narrow_space_gives_fewer_cuts():
    assert cut_evenly("003000000000001", "003000000000002", 8) == ["003000000000001"]
    assert cut_evenly("003000000000001", "003000000000001", 8) == []


@given(one=tails, other=tails, slices=st.integers(1, 50))
def test_cuts_rise_inside_the_space_and_sort_as_salesforce_sorts(one, other, slices):
    first, last = sorted(("003" + one, "003" + other))

    cuts = cut_evenly(first, last, slices)

    assert cuts == sorted(set(cuts))
    assert len(cuts) < slices or cuts == []
    assert all(first <= cut < last for cut in cuts)
    assert all(len(cut) == 15 and cut.startswith("003") for cut in cuts)


def test_the_checksum_does_not_decide_the_order():
    assert sort_key("003000000000001AAA") == sort_key("003000000000001")
