"""Operators and their PINs: kept so that a thief of the file has nothing, lost so that nobody gets in."""

import stat
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge import operators, pins
from bridge.operators import Door, OperatorFile, Roster
from parking.commands import OperatorRole
from parking.errors import BadMessage, Code, DaikoError

NOW = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)
PEPPER = bytes(range(32))


def roster(*names):
    made = Roster()
    for name in names:
        made = operators.add(made, name, OperatorRole.ATTENDANT, "hash", NOW)
    return made


# --- PINs ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "pin",
    [
        "",
        "12345",
        "48392",
        "48392a",
        "483 920",
        "-48392",
        "4" * 65,
        "k7" * 33,
        "٤٨٣٩٢٠٤",
        "4839200\n1",
        "k7-\u202equiet",
    ],
)
def test_a_pin_is_six_digits_or_eight_signs_at_least(pin):
    with pytest.raises(BadMessage, match="6 to 64 digits, or 8 to 64 signs"):
        pins.check(pin)


@pytest.mark.parametrize(
    "pin",
    [
        *("000000", "999999", "123456", "234567", "654321", "890123", "098765", "0123456789", "121212", "1212121"),
        *("123123", "112233", "332211", "123321", "1234321", "４４４４４４", "１２３４５６"),
        *("147258", "696969", "７８９４５６", "19870412", "12041987", "04121987", "xxxxxxxx", "abababab"),
        *("Password!7", "my-parking-9", "DAIKO-2026", "若葉駐車場のゲート", "satoh-1987", "１９８７0412"),
    ],
)
def test_pins_that_are_tried_first_are_refused(pin):
    with pytest.raises(BadMessage, match="tried first"):
        pins.check(pin, "Satoh")


@pytest.mark.parametrize(
    "pin",
    [
        *("483920", "４８３９２０", "110924", "90210742", "135790", "48392017" * 8),
        *("k7-quiet", "the gate opens at 7", "雨の日は傘を持つ", "<script>'\"", "a" * 60 + "bcde"),
    ],
)
def test_other_pins_are_taken_of_whatever_signs(pin):
    pins.check(pin, "Satoh")


def test_few_of_all_pins_are_refused():
    weak = sum(pins._is_weak(f"{number:06}") for number in range(1_000_000))
    assert 1000 < weak < 1300


def test_a_pin_is_right_for_its_operator_with_its_pepper_alone():
    kept = pins.hash_pin("483920", "佐藤", PEPPER)
    assert kept.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert pins.verify(kept, "483920", "佐藤", PEPPER)
    assert pins.verify(kept, "４８３９２０", "佐藤", PEPPER)
    assert not pins.verify(kept, "483921", "佐藤", PEPPER)
    assert not pins.verify(kept, "483920", "田中", PEPPER)  # a hash put under another name
    assert not pins.verify(kept, "483920", "佐藤", PEPPER[::-1])
    assert not pins.verify("damaged", "483920", "佐藤", PEPPER)
    assert kept != pins.hash_pin("483920", "佐藤", PEPPER)


def test_name_and_pin_cannot_be_shifted_into_each_other():
    kept = pins.hash_pin("483920", "desk1", PEPPER)
    assert not pins.verify(kept, "1483920", "desk", PEPPER)


def test_nobodys_hash_costs_as_much_and_is_nobodys():
    assert pins.NOBODYS.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert not pins.verify(pins.NOBODYS, "", "", b"")


# --- names -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["", "  ", "x" * 41, "a\x00b", "a\u202eb", "relay", "Relay", "ｒｅｌａｙ"])
def test_names_that_cannot_stand_in_the_record_are_refused(name):
    with pytest.raises(BadMessage) as caught:
        operators.fold_name(name)
    assert caught.value.code is Code.BAD_NAME


def test_names_are_folded_to_one_spelling():
    assert operators.fold_name("  Ｓａｔｏ\t Taro ") == "Sato Taro"


@given(st.text())
def test_any_text_is_a_name_or_told(text):
    try:
        name = operators.fold_name(text)
    except BadMessage:
        return
    assert operators.fold_name(name) == name


# --- the file --------------------------------------------------------------------------------------------------------


def test_until_a_pin_is_given_the_door_is_open(tmp_path):
    file = OperatorFile(tmp_path)
    assert file.staff(once_given=False).door is Door.OPEN
    file.save(Roster())
    assert file.staff(once_given=True).door is Door.OPEN
    file.save(roster("佐藤"))
    assert file.staff(once_given=True).door is Door.GUARDED
    assert stat.S_IMODE((tmp_path / "operators.json").stat().st_mode) == 0o600


def test_a_file_that_is_gone_although_pins_were_given_opens_nothing(tmp_path):
    staff = OperatorFile(tmp_path).staff(once_given=True)
    assert staff.door is Door.SHUT
    assert "gone" in staff.problem


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_text("{"),
        lambda path: path.write_text(""),
        lambda path: path.write_text(path.read_text().replace('"attendant"', '"boss"')),
        lambda path: path.write_text(path.read_text().replace('"schema": 1', '"schema": 2')),
        lambda path: path.chmod(0o644),
        lambda path: (path.unlink(), path.mkdir()),
    ],
)
def test_a_file_that_cannot_be_believed_opens_nothing(tmp_path, damage):
    file = OperatorFile(tmp_path)
    file.save(roster("佐藤"))
    assert file.staff(once_given=True).door is Door.GUARDED
    damage(tmp_path / "operators.json")
    staff = file.staff(once_given=True)
    assert staff.door is Door.SHUT
    assert staff.roster.operators == ()
    assert "operators.json" in staff.problem


def test_a_change_is_seen_at_once(tmp_path):
    file, command_line = OperatorFile(tmp_path), OperatorFile(tmp_path)
    for names in (["佐藤"], ["佐藤", "田中"], ["田中"], []):
        command_line.save(roster(*names))
        assert [one.name for one in file.staff(once_given=True).roster.operators] == names


def test_changes_touch_one_operator_and_say_when():
    later = NOW + timedelta(hours=1)
    both = roster("佐藤", "田中")
    changed = operators.change(both, "田中", later, role=OperatorRole.SUPERVISOR)
    assert changed.find("佐藤") == both.find("佐藤")
    assert (changed.find("田中").role, changed.find("田中").pin) == (OperatorRole.SUPERVISOR, "hash")
    assert changed.find("田中").changed == later
    assert operators.change(both, "田中", later, pin="new").find("田中").pin == "new"
    assert [one.name for one in operators.remove(both, "佐藤").operators] == ["田中"]


@pytest.mark.parametrize(
    ("act", "code"),
    [
        (lambda one: operators.add(one, "佐藤", OperatorRole.VIEWER, "x", NOW), Code.CONFLICT),
        (lambda one: operators.change(one, "鈴木", NOW, pin="x"), Code.NOT_FOUND),
        (lambda one: operators.remove(one, "鈴木"), Code.NOT_FOUND),
    ],
)
def test_a_change_that_cannot_be_is_told(act, code):
    with pytest.raises(DaikoError) as caught:
        act(roster("佐藤"))
    assert caught.value.code is code
