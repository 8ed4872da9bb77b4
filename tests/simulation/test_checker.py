"""The checker finds what it is there for: each planted broken promise, and nothing in an honest history."""

from collections.abc import Callable

import pytest

from simulation.checker import check
from simulation.history import Act, History, Money, Person, Said, Signed


def honest() -> History:
    return History(
        acts=[Act(5.0, "release", "relay", "7", 1)],
        money=[Money(1.0, "o1", "authorized", 600), Money(9.0, "o1", "captured", 600)],
        signed=[Signed(2.0, "o1", 1, "7", 600, 1200.0)],
        said=[Said(3.0, 1, "received"), Said(6.0, 1, "settled")],
        kept={1},
    )


def test_an_honest_history_has_nothing_to_hide() -> None:
    assert check(honest()) == []


def plant(change: Callable[[History], object]) -> set[str]:
    history = honest()
    change(history)
    return {one.promise for one in check(history)}


@pytest.mark.parametrize(
    ("change", "promise"),
    [
        (lambda it: it.acts.append(Act(7.0, "release", "relay", "7", 1)), "P2"),
        (lambda it: it.acts.append(Act(7.0, "release", "relay", "8", 9)), "P7"),
        (lambda it: it.acts.__setitem__(0, Act(5.0, "release", "relay", "8", 1)), "P7"),
        (lambda it: it.forged.add(1), "P7"),
        (lambda it: it.acts.__setitem__(0, Act(1_300.0, "release", "relay", "7", 1)), "P7"),
        (
            lambda it: (
                it.signed.append(Signed(2.5, "o2", 2, "7", 600, 1200.0)),
                it.acts.insert(0, Act(4.0, "release", "relay", "7", 2)),
            ),
            "P10",
        ),
        (lambda it: it.people.append(Person(5.5, "gave_back", "7", 1)), "P1"),
        (lambda it: it.money.pop(), "P1"),
        (lambda it: it.money.append(Money(10.0, "o1", "voided", 600)), "P1"),
        (lambda it: it.acts.clear(), "P1"),
        (lambda it: it.money.__setitem__(1, Money(9.0, "o1", "voided", 600)), "P1"),
        (lambda it: it.acts.insert(0, Act(4.0, "book", "cash", "7")), "P6"),
        (lambda it: it.kept.clear(), "P3"),
        (
            lambda it: (
                it.said.__setitem__(1, Said(6.0, 1, "in_doubt")),
                it.money.__setitem__(1, Money(9.0, "o1", "voided", 600)),
            ),
            "P5",
        ),
    ],
)
def test_each_planted_breach_is_found(change: Callable[[History], object], promise: str) -> None:
    assert promise in plant(change)


@pytest.mark.parametrize(
    "change",
    [
        lambda it: (it.acts.clear(), it.people.append(Person(6.0, "opened", "7"))),
        lambda it: (it.acts.clear(), it.people.append(Person(6.0, "settled", "7", 1))),
        lambda it: (
            it.money.append(Money(10.0, "o1", "refunded", 600)),
            it.people.append(Person(8.0, "gave_back", "7")),
        ),
        lambda it: (it.money.append(Money(10.0, "o1", "refunded", 600)), it.losses.append("o1")),
        lambda it: it.acts.append(Act(7.0, "release", "person", "7")),
    ],
)
def test_what_a_person_answers_for_is_no_breach(change: Callable[[History], object]) -> None:
    assert plant(change) == set()
