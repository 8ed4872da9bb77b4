"""Each order needs the right person, and none of them stands before an emergency."""

import itertools

import pytest

from bridge.permits import NOT_SIGNED_IN, Denied, Person, Stake, bare, is_emergency, may, permit
from parking.commands import Command, OperatorRole, Verb, Verdict
from parking.errors import Code
from parking.reports import Whose
from parking.stay import NameKind, StayRef

LIMIT = 10_000
VIEWER, ATTENDANT, SUPERVISOR, INSTALLER = OperatorRole
STAY = StayRef(NameKind.BAY, "7")


def person(role, name="佐藤"):
    return None if role is None else Person(name, role)


def order(verb=Verb.RELEASE, **changes):
    return Command(command_id="c-1", lot=1, verb=verb, actor="typed", reason="why", exit="A", **changes)


def code_of(denied):
    return None if denied is None else denied.code


def least(*allowed):
    """What each role is answered where the least of `allowed` may."""
    answers = dict.fromkeys(OperatorRole, Code.ROLE) | dict.fromkeys(allowed)
    return [(None, Code.SIGN_IN), *answers.items()]


EVERYDAY = [
    order(Verb.RELEASE),
    order(Verb.RELEASE, stay=STAY, whose=Whose.STAY),
    order(Verb.RELEASE, stay=STAY, give_back=True),
    order(Verb.HOLD_OPEN),
    order(Verb.END_HOLD),
    order(Verb.END_HOLD, emergency=True),
    order(Verb.RESOLVE, case=3, verdict=Verdict.SETTLED),
    order(Verb.RESOLVE, case=3, verdict=Verdict.NOT_SETTLED),
    order(Verb.ASSIGN, override="c-0", whose=Whose.STAY, stay=STAY),
]


@pytest.mark.parametrize("command", EVERYDAY)
@pytest.mark.parametrize(("role", "answer"), least(ATTENDANT, SUPERVISOR, INSTALLER))
def test_the_days_work_is_an_attendants(command, role, answer):
    assert code_of(permit(command, person(role), None, Stake(LIMIT, settled=False), LIMIT)) == answer


SUPERVISED = [
    (order(stay=STAY, give_back=True), Stake(600, settled=True)),
    (order(Verb.ASSIGN, override="c-0", stay=STAY, give_back=True), Stake(600, settled=True)),
    (order(stay=STAY, claim=600), Stake(600)),
    (order(stay=STAY, claim=0), Stake(0)),
]


@pytest.mark.parametrize(("command", "stake"), SUPERVISED)
@pytest.mark.parametrize(("role", "answer"), least(SUPERVISOR, INSTALLER))
def test_what_gives_money_away_is_a_supervisors(command, stake, role, answer):
    assert code_of(permit(command, person(role), None, stake, LIMIT)) == answer


HIGH = [
    order(Verb.RESOLVE, case=3, verdict=Verdict.SETTLED),
    order(Verb.RESOLVE, case=3, verdict=Verdict.NOT_SETTLED),
    order(stay=STAY, give_back=True),
    order(stay=STAY, claim=LIMIT + 1),
]


@pytest.mark.parametrize("command", HIGH)
def test_above_the_limit_it_takes_two_persons_who_are_both_supervisors(command):
    high = Stake(LIMIT + 1, settled=command.give_back)
    boss = person(SUPERVISOR, "田中")
    assert code_of(permit(command, None, boss, high, LIMIT)) is Code.SIGN_IN
    assert code_of(permit(command, person(VIEWER), boss, high, LIMIT)) is Code.ROLE
    assert code_of(permit(command, person(ATTENDANT), boss, high, LIMIT)) is Code.ROLE
    assert code_of(permit(command, boss, None, high, LIMIT)) is Code.SECOND_PERSON
    assert code_of(permit(command, boss, boss, high, LIMIT)) is Code.SECOND_PERSON
    assert code_of(permit(command, boss, person(INSTALLER, "田中"), high, LIMIT)) is Code.SECOND_PERSON
    assert code_of(permit(command, boss, person(ATTENDANT), high, LIMIT)) is Code.SECOND_PERSON
    assert permit(command, boss, person(SUPERVISOR), high, LIMIT) is None
    assert permit(command, boss, person(INSTALLER), high, LIMIT) is None


@pytest.mark.parametrize("command", HIGH)
def test_at_the_limit_one_person_is_enough(command):
    assert permit(command, person(SUPERVISOR), None, Stake(LIMIT, settled=True), LIMIT) is None


def test_a_plain_release_needs_no_second_person_however_much_was_paid():
    assert permit(order(stay=STAY), person(ATTENDANT), None, Stake(LIMIT + 1, settled=True), LIMIT) is None


@pytest.mark.parametrize("verb", [Verb.RELEASE, Verb.HOLD_OPEN])
@pytest.mark.parametrize("role", [None, *OperatorRole])
def test_an_emergency_opening_is_never_refused(verb, role):
    for give_back, claim, stake in itertools.product((False, True), (None, 90_000), (Stake(), Stake(90_000, True))):
        command = order(verb, emergency=True, give_back=give_back, claim=claim)
        assert permit(command, person(role), None, stake, 0) is None


@pytest.mark.parametrize("verb", [Verb.END_HOLD, Verb.RESOLVE, Verb.ASSIGN])
def test_nothing_else_is_an_emergency(verb):
    command = order(verb, emergency=True, verdict=Verdict.SETTLED)
    assert not is_emergency(command)
    assert code_of(permit(command, None, None, Stake(), LIMIT)) is Code.SIGN_IN
    assert code_of(permit(command, person(VIEWER), None, Stake(), LIMIT)) is Code.ROLE


def test_an_emergency_by_nobody_who_signed_in_opens_and_decides_nothing():
    command = order(emergency=True, stay=STAY, whose=Whose.STAY, case=4, give_back=True, claim=500)
    done = bare(command, None)
    assert (done.verb, done.exit, done.emergency) == (Verb.RELEASE, "A", True)
    assert done.actor == f"typed {NOT_SIGNED_IN}"
    assert (done.whose, done.stay, done.case, done.give_back, done.claim) == (Whose.LATER, None, 0, False, None)
    assert bare(order(emergency=True, whose=Whose.NOBODY), None).whose is Whose.NOBODY


@pytest.mark.parametrize(("role", "kept"), [(VIEWER, False), (ATTENDANT, True), (SUPERVISOR, True), (INSTALLER, True)])
def test_an_attendants_emergency_keeps_its_stay(role, kept):
    command = order(emergency=True, stay=STAY, whose=Whose.STAY)
    done = bare(command, person(role))
    assert (done == command) is kept
    assert done.actor == "typed"  # SignOn has put the name of who signed in there already
    assert (done.stay is not None) is kept


@pytest.mark.parametrize("money", [{"give_back": True}, {"claim": 500}])
def test_not_even_an_installers_emergency_moves_money(money):
    done = bare(order(emergency=True, stay=STAY, whose=Whose.STAY, **money), person(INSTALLER))
    assert (done.give_back, done.claim, done.whose) == (False, None, Whose.LATER)


def test_roles_are_ordered():
    for low, high in itertools.combinations(OperatorRole, 2):
        assert may(person(high), low) is None
        assert isinstance(may(person(low), high), Denied)
