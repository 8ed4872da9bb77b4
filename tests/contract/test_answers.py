"""What a person types at a machine is read as they mean it."""

import pytest

from drivers.conform import answers
from drivers.profile import ExitTable
from parking.desk import ExitKind


def exit_(name, ja, en):
    return ExitTable(id=name, kind=ExitKind.GATE, label={"ja": ja, "en": en}, device="gate", channel=0)


KNOWN = answers.names([exit_("OUT1", "出口1", "Exit 1"), exit_("OUT2", "出口2", "Exit 2"), exit_("N", "北口", "Exit")])


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ("OUT1", ("OUT1",)),
        ("out2 Out1", ("OUT2", "OUT1")),
        ("ＯＵＴ１　出口２", ("OUT1", "OUT2")),
        ("出口1、出口2", ("OUT1", "OUT2")),
        ("Exit 1, exit 2", ("OUT1", "OUT2")),
        ("exit exit 1", ("N", "OUT1")),
        ("OUT1 出口1 Exit 1", ("OUT1",)),
        ("  ", ()),
    ],
)
def test_exits_are_named_by_id_or_by_label_in_either_language(said, found):
    assert answers.named(said, KNOWN) == (found, ())


def test_words_that_name_no_exit_are_given_back():
    assert answers.named("OUT1 OUT3 門", KNOWN) == (("OUT1",), ("OUT3", "門"))


def test_a_label_that_two_exits_have_names_none_and_an_id_goes_before_a_label():
    twins = answers.names([exit_("A", "出口", "B"), exit_("B", "出口", "C")])
    assert answers.named("出口", twins) == ((), ("出口",))
    assert answers.named("b", twins) == (("B",), ())


@pytest.mark.parametrize(
    ("said", "found"),
    [("y", True), ("Ｙ", True), (" YES ", True), ("はい", True), ("n", False), ("Ｎｏ", False), ("いいえ", False)],
)
def test_yes_and_no(said, found):
    assert answers.yes(said) is found


@pytest.mark.parametrize("said", ["", "yep", "1", "はいはい"])
def test_what_is_neither_is_neither(said):
    assert answers.yes(said) is None


@pytest.mark.parametrize(("said", "found"), [("0", 0), ("１２", 12), ("1,200円", 1200), ("￥500", 500), ("-1", None)])
def test_numbers(said, found):
    assert answers.number(said) == found
