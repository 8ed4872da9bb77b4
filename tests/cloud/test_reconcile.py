"""Four witnesses of a day, compared to the yen: every way in which two of them can disagree is found and named."""

from dataclasses import replace
from datetime import UTC, date, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud.checkout import Standing
from cloud.day_report import render
from cloud.day_words import NAMES, said
from cloud.days import DayReport, Noted
from cloud.payments.base import ProviderState
from cloud.reconcile import Day, Kind, Opened, Paid, Stated, Totals, compare
from parking.reports import Counter, ExitCount, JournalRow, LegacyRow

AT = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)
GOOD = Day(
    ledger=(Paid("o1", 1, 1200, Standing.CAPTURED), Paid("o2", 2, 300, Standing.VOIDED)),
    provider=(Stated("o1", ProviderState.CAPTURED, 1200), Stated("o2", ProviderState.VOIDED, 300)),
    journal=(
        JournalRow(number=1, phase="settled", amount=1200),
        JournalRow(number=2, phase="refused", amount=300),
    ),
    legacy=(LegacyRow(reference="DK-1001-1", amount=1200, at=AT),),
    counts=(ExitCount(exit="OUT1", moved=2, by_relay=1, by_hand=1),),
    references={"DK-1001-1": 1, "DK-1001-2": 2},
)


def kinds(day: Day) -> set[Kind]:
    return {difference.kind for difference in compare(day)[1]}


def test_a_day_on_which_all_agree_has_no_difference() -> None:
    totals, found = compare(GOOD)
    assert found == ()
    assert (totals.payments, totals.captured, totals.returned, totals.waiting, totals.matched) == (2, 1200, 300, 0, 2)


def paid(**changes: object) -> tuple[Paid, ...]:
    return (replace(GOOD.ledger[0], **changes), GOOD.ledger[1])


def row(phase: str, amount: int = 1200) -> tuple[JournalRow, ...]:
    assert GOOD.journal is not None
    return (JournalRow(number=1, phase=phase, amount=amount), GOOD.journal[1])


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"provider": GOOD.provider[1:]}, Kind.NOT_AT_PROVIDER),
        ({"provider": (*GOOD.provider, Stated("x9", ProviderState.CAPTURED, 500))}, Kind.PROVIDER_ONLY),
        ({"provider": (Stated("o1", ProviderState.AUTHORIZED, 1200), GOOD.provider[1])}, Kind.PROVIDER_DIFFERS),
        ({"provider": (Stated("o1", ProviderState.CAPTURED, 1300), GOOD.provider[1])}, Kind.PROVIDER_DIFFERS),
        ({"ledger": GOOD.ledger[:1], "provider": GOOD.provider[:1]}, Kind.JOURNAL_ONLY),
        ({"journal": row("settled")[:1], "ledger": (*GOOD.ledger[:1], Paid("o2", 2, 300, Standing.AUTHORIZED))}, None),
        ({"journal": row("refused"), "legacy": ()}, Kind.CAPTURED_UNSETTLED),
        ({"journal": row("in_doubt")}, Kind.CAPTURED_UNSETTLED),
        ({"journal": row("settled", 1100)}, Kind.AMOUNT_DIFFERS),
        ({"legacy": ()}, Kind.NOT_BOOKED),
        ({"legacy": (LegacyRow(reference="DK-1001-1", amount=900, at=AT),)}, Kind.BOOKED_DIFFERS),
        ({"legacy": (*GOOD.legacy, LegacyRow(reference="DK-1001-77", amount=9, at=AT))}, Kind.BOOKED_ONLY),
        ({"legacy": (*GOOD.legacy, LegacyRow(reference="DK-1001-2", amount=300, at=AT))}, Kind.BOOKED_ONLY),
        ({"counts": (ExitCount(exit="OUT1", moved=3, by_relay=1, by_hand=1),)}, Kind.COUNT),
        ({"counts": (ExitCount(exit="OUT1", moved=1, by_relay=1, by_hand=1, unsure=3),)}, Kind.COUNT),
        (
            {"counts": (ExitCount(exit="P7", moved=0, by_relay=1, by_hand=0, state=Counter.RESET, before=9, after=1),)},
            Kind.COUNTER_RESET,
        ),
        (
            {"counts": (ExitCount(exit="P7", moved=0, by_relay=0, by_hand=0, state=Counter.UNREAD),)},
            Kind.COUNTER_UNREAD,
        ),
        ({"legacy": None, "legacy_trouble": "[no-reply] silent"}, Kind.BOOKS_UNREAD),
        ({"legacy": GOOD.legacy * 2}, Kind.BOOKED_DIFFERS),  # type: ignore[operator]  # it has one
        ({"unmatched": (Opened("c1", "OUT1", "Sato", "stuck"),)}, Kind.OVERRIDE_UNMATCHED),
        ({"told_after_close": ("2026-11-23",)}, Kind.TOLD_AFTER_CLOSE),
        ({"journal": None, "legacy": None}, Kind.NO_REPORT),
    ],
)
def test_each_disagreement_has_its_name(change: dict[str, object], kind: Kind | None) -> None:
    day = replace(GOOD, **change)
    assert (kind or Kind.NOT_IN_JOURNAL) in kinds(day)
    for one in compare(day)[1]:
        ja, en = (said(one.kind, one.facts, language) for language in ("ja", "en"))
        assert ja != en
        assert "–" not in ja + en  # every fact that the sentences need is there
        assert all(NAMES[one.kind])


def test_a_payment_that_was_lost_after_the_car_was_let_out_is_uncharged() -> None:
    gone = (Stated("o1", ProviderState.EXPIRED, 1200), GOOD.provider[1])
    assert kinds(replace(GOOD, ledger=paid(standing=Standing.LOST), provider=gone)) == {Kind.SETTLED_UNCHARGED}


def test_an_amount_of_a_whole_day_may_be_larger_than_any_fee() -> None:
    row = JournalRow(number=1, phase="settled", amount=9_000_000)
    day = Day((), (), (row, msgspec.structs.replace(row, number=2)), legacy_trouble="[no-reply] silent")
    (unread,) = [one for one in compare(day)[1] if one.kind is Kind.BOOKS_UNREAD]
    shown = Noted(unread.key, unread.kind, unread.yen, "", 0, unread.facts, "", "")
    report = DayReport(1001, date(2026, 11, 24), AT, Totals(2, 18_000_000, 0, 0, 2), (shown,), "", None)
    assert "¥18,000,000" in render(report, "Wakaba", "en", None)


def test_a_car_let_out_for_money_given_back_is_a_loss() -> None:
    day = replace(
        GOOD,
        ledger=paid(standing=Standing.REFUNDED),
        provider=(Stated("o1", ProviderState.REFUNDED, 1200), GOOD.provider[1]),
    )
    (difference,) = compare(day)[1]
    assert (difference.kind, difference.yen, difference.number) == (Kind.SETTLED_UNCHARGED, 1200, 1)


def test_what_nobody_knows_the_end_of_is_named_and_counted_as_waiting() -> None:
    day = replace(
        GOOD,
        ledger=paid(standing=Standing.IN_DOUBT),
        provider=(Stated("o1", ProviderState.AUTHORIZED, 1200), GOOD.provider[1]),
        journal=row("in_doubt"),
    )
    totals, found = compare(day)
    assert [one.kind for one in found] == [Kind.STILL_OPEN]
    assert (totals.waiting, totals.captured) == (1200, 0)


def test_a_payment_voided_before_the_lot_heard_of_it_is_no_difference() -> None:
    assert GOOD.journal is not None
    assert kinds(replace(GOOD, journal=GOOD.journal[:1])) == set()


def test_a_lot_without_readable_books_is_compared_without_them() -> None:
    assert kinds(replace(GOOD, legacy=None)) == set()


def test_releases_of_which_nobody_knows_explain_a_counter_that_moved_and_one_that_did_not() -> None:
    for moved in (2, 3, 4):
        count = ExitCount(exit="OUT1", moved=moved, by_relay=1, by_hand=1, unsure=2)
        assert kinds(replace(GOOD, counts=(count,))) == set()
    count = ExitCount(exit="OUT1", moved=5, by_relay=1, by_hand=1, unsure=2)
    assert kinds(replace(GOOD, counts=(count,))) == {Kind.COUNT}


def test_books_that_could_not_be_read_prove_nothing_missing_and_say_what_it_is_about() -> None:
    (difference,) = compare(replace(GOOD, legacy=None, legacy_trouble="[no-reply] silent"))[1]
    assert (difference.kind, difference.yen) == (Kind.BOOKS_UNREAD, 1200)
    assert "silent" in said(difference.kind, difference.facts, "en")


def test_the_dearest_comes_first_and_keys_are_stable() -> None:
    day = replace(GOOD, provider=(), legacy=())
    once, twice = compare(day)[1], compare(day)[1]
    assert [one.key for one in once] == [one.key for one in twice]
    assert [one.yen for one in once] == sorted((one.yen for one in once), reverse=True)
    assert len({one.key for one in once}) == len(once)


standings = st.sampled_from(Standing)
states = st.sampled_from(ProviderState)
phases = st.sampled_from(["received", "sending", "in_doubt", "settled", "refused"])


@given(st.lists(st.tuples(standings, states, phases, st.integers(0, 3), st.integers(0, 3)), max_size=4))
def test_money_is_never_matched_unless_all_agree_about_it(
    rows: list[tuple[Standing, ProviderState, str, int, int]],
) -> None:
    """The independent rule: a payment counts as matched only if charge and release belong together."""
    ledger = [Paid(f"o{at}", at, 100 + one[3], one[0]) for at, one in enumerate(rows, start=1)]
    provider = [Stated(f"o{at}", one[1], 100 + one[4]) for at, one in enumerate(rows, start=1)]
    journal = [JournalRow(number=at, phase=one[2], amount=100 + one[3]) for at, one in enumerate(rows, start=1)]
    totals, found = compare(Day(ledger, provider, journal))
    named = {one.order_id for one in found}
    assert totals.matched == len(ledger) - len(named & {one.order_id for one in ledger})
    for at, (standing, state, phase, asked, told) in enumerate(rows, start=1):
        if f"o{at}" in named:
            continue
        if state is ProviderState.CAPTURED and standing is Standing.CAPTURED:
            assert phase == "settled"
            assert asked == told
        assert not (phase == "settled" and state in (ProviderState.VOIDED, ProviderState.REFUNDED)) or standing not in (
            Standing.VOIDED,
            Standing.REFUNDED,
        )
