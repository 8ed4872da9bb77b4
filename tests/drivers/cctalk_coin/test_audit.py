"""The cash audit: what the station counted, less what we credited, is what must be in its box."""

from collections import Counter

import pytest

from drivers.cctalk_coin.audit import Doubt, audit, coins_of, lines


def test_our_coins_are_read_from_the_evidence_and_taken_off() -> None:
    first = coins_of(["event counter 3 → 8: 5×100", "the station takes no more coins after 550 yen"])
    second = coins_of(["coins: paid by DK-1-2 50 of 50 yen credited (1×50)"])
    rows = audit({500: 4, 100: 12, 50: 3}, first + second)
    assert [(row.value, row.in_box) for row in rows] == [(500, 4), (100, 7), (50, 2)]
    assert lines(rows, language="en") == [
        "¥  500: counted 4 - by phone 0 = in the box 4",
        "¥  100: counted 12 - by phone 5 = in the box 7",
        "¥   50: counted 3 - by phone 1 = in the box 2",
        "cash in all ¥2,800",
    ]
    assert lines(rows)[-1] == "現金合計 2,800円"


def test_a_payment_whose_coins_are_told_twice_counts_once() -> None:
    assert coins_of(["event counter 3 → 8: 5×100", "coins: paid by DK-1-2 500 of 500 yen credited (5×100)"]) == {100: 5}
    assert coins_of(["receipt 8", "opened by hand: rain"]) == Counter()


def test_money_in_doubt_makes_it_a_span() -> None:
    told = lines(audit({100: 5}, {100: 2}), [Doubt("DK-1-7", 100)], "en")
    assert told[1:] == ["not known: up to ¥100 by phone (DK-1-7)", "cash in all ¥200–¥300"]
    assert lines(audit({100: 5}, {100: 2}), [Doubt("DK-1-7", 100)])[1] == "不明：最大 100円（DK-1-7）"


def test_more_by_phone_than_counted_is_a_contradiction() -> None:
    rows = audit({}, {100: 1})
    assert rows[0].contradicts
    assert "contradiction" in lines(rows, language="en")[0]
    assert "食い違い" in lines(rows)[0]


@pytest.mark.parametrize(("accepts", "asks"), [("coins", (350, 500, 60)), ("bills", (3000, 1000))])
def test_it_agrees_with_what_the_simulated_station_counted(timed, accepts, asks) -> None:
    line = timed(accepts=accepts)
    ours: Counter[int] = Counter()
    for number, asked in enumerate(asks):
        outcome = line.settle(line.ask(asked), asked, reference=f"DK-1-{number}")
        ours += coins_of(proof.text for proof in outcome.evidence)
        line.run(2)
    assert line.host.counted.total() > 0
    assert all(row.in_box == 0 and not row.contradicts for row in audit(line.host.counted, ours))
