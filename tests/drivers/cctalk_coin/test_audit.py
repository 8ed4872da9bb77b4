"""The cash audit: what the station counted, less what we credited, is what must be in its box."""

import pytest

from drivers.cctalk_coin.audit import audit, lines, proxied


def test_our_coins_are_read_from_the_evidence_and_taken_off() -> None:
    texts = ["event counter 3 → 8: 5×100", "the station takes no more coins after 550 yen", "event counter 8 → 9: 1×50"]
    rows = audit({500: 4, 100: 12, 50: 3}, proxied(texts))
    assert [(row.value, row.in_box) for row in rows] == [(500, (4, 4)), (100, (7, 7)), (50, (2, 2))]
    assert lines(rows, "en") == [
        "¥500: counted 4 - by phone 0 = in the box 4",
        "¥100: counted 12 - by phone 5 = in the box 7",
        "¥ 50: counted 3 - by phone 1 = in the box 2",
        "cash in all ¥2,800",
    ]
    assert lines(rows)[-1] == "現金合計 2,800円"


def test_coins_in_doubt_make_it_a_span() -> None:
    (row,) = audit({100: 5}, {100: 2}, {100: 1})
    assert row.in_box == (2, 3)
    assert lines([row], "en") == ["¥100: counted 5 - by phone 2 = in the box 2–3", "cash in all ¥200–¥300"]


def test_more_by_phone_than_counted_is_a_contradiction() -> None:
    rows = audit({}, {100: 1})
    assert rows[0].contradicts
    assert "contradiction" in lines(rows, "en")[0]
    assert "食い違い" in lines(rows)[0]


@pytest.mark.parametrize(("accepts", "asks"), [("coins", (350, 500, 60)), ("bills", (3000, 1000))])
def test_it_agrees_with_what_the_simulated_station_counted(timed, accepts, asks) -> None:
    line = timed(accepts=accepts)
    evidence = []
    for number, asked in enumerate(asks):
        outcome = line.settle(line.ask(asked), asked, reference=f"DK-1-{number}")
        evidence += [proof.text for proof in outcome.evidence]
        line.run(2)
    assert line.host.counted.total() > 0
    assert all(row.in_box == (0, 0) and not row.contradicts for row in audit(line.host.counted, proxied(evidence)))
