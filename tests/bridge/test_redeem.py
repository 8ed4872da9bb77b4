"""The phone carries the completion: a code opens once, for its own stay, with the line down; guessing costs time."""

import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
import requests
from hypothesis import example, given
from hypothesis import strategies as st

from bridge import keys, operators, pins, redeem
from bridge.app import Bridge
from bridge.operators import OperatorFile, Roster
from bridge.secret_store import FileStore
from bridge.sessions import Lock
from drivers.profile import Policy
from parking import completion as completions
from parking.commands import OperatorRole, Redeem, RedeemReply, SignIn
from parking.completion import Completion, to_digits, typed_code
from parking.desk import CasePhase
from parking.errors import BadMessage, Code, Refused
from parking.money import yen
from parking.reports import Redeemed, Way
from parking.signing import KeyRing, SigningKey, from_text, to_text
from parking.stay import LotId, NameKind, StayRef
from parking.wire import CodeKey, LotKeys, decode, encode

LOT = LotId(1001)
CODE_KEY = bytes(range(32))
NOW = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)
SIGNER = SigningKey.from_seed(1, bytes(range(32)))
STAY = StayRef(NameKind.BAY, "7", NOW - timedelta(hours=1))
PAID = Completion(1, LOT, 42, STAY, yen(200), NOW - timedelta(minutes=1), NOW + timedelta(minutes=19))


def lot_keys(**change) -> LotKeys:
    kept = {
        "code_keys": (CodeKey(kid=2, key=to_text(CODE_KEY)),),
        "code_seconds": 21_600,
        "plate_key": to_text(bytes(32)),
    }
    return LotKeys(**kept | {"server_time": NOW} | change)


# --- what a code is worth, by itself ----------------------------------------------------------------------------------


def standing(**change) -> redeem.Standing:
    made = redeem.Standing(
        lot=LOT,
        cursor=40,
        known=lambda number: False,
        exits={"7"},
        ring=KeyRing({1: SIGNER.public_bytes}),
        keys=lot_keys(),
        policy=Policy(),
    )
    return replace(made, **change)


def shown(text: str, stay: StayRef | None = STAY, **more) -> Redeem:
    return Redeem(redeem_id="r1", lot=LOT, text=text, actor="Sato", stay=stay, **more)


def scan(completion: Completion = PAID, signer: SigningKey = SIGNER) -> Redeem:
    return shown(to_digits(completions.sign(completion, signer)), None)


def key_in(completion: Completion = PAID, **more) -> Redeem:
    return shown(typed_code(completion, 2, CODE_KEY), **more)


def refusal(act, order: Redeem, now: datetime = NOW, **change) -> Code:
    with pytest.raises((BadMessage, Refused)) as caught:
        act(order, standing(**change), now)
    return caught.value.code


def test_a_genuine_code_states_its_payment_whichever_way_it_is_shown():
    completion, packed = redeem.scanned(scan(), standing(), NOW)
    assert (completion, packed) == (PAID, completions.sign(PAID, SIGNER))
    stated = redeem.typed(key_in(exit="7"), standing(), NOW)
    assert (stated.number, stated.stay, stated.amount, stated.exit) == (42, STAY, 200, "7")
    assert redeem.yes(stated) == RedeemReply(accepted=True, number=42, stay=STAY, amount=200)


def test_a_qr_code_that_does_not_verify_is_refused_by_name():
    other_lot, elsewhere = replace(PAID, lot=LotId(1002)), StayRef(NameKind.BAY, "8")
    assert refusal(redeem.scanned, scan(signer=SigningKey.generate(1))) is Code.BAD_SIGNATURE
    assert refusal(redeem.scanned, scan(replace(PAID, key_id=9), SigningKey.generate(9))) is Code.UNKNOWN_KEY
    assert refusal(redeem.scanned, scan(other_lot)) is Code.WRONG_LOT
    assert refusal(redeem.scanned, msgspec.structs.replace(scan(), stay=elsewhere)) is Code.WRONG_CODE
    assert refusal(redeem.scanned, shown("9" * 200)) is Code.BAD_COMPLETION
    assert refusal(redeem.scanned, scan(), NOW + timedelta(minutes=20)) is Code.EXPIRED


def test_a_qr_code_may_come_with_spaces_or_in_full_width():
    text = scan().text
    wide = text.translate({ord("0") + digit: ord("０") + digit for digit in range(10)})
    spaced = " ".join(text[at : at + 40] for at in range(0, len(text), 40))
    for spelling in (wide, spaced):
        assert redeem.is_scanned(shown(spelling))
        assert redeem.scanned(shown(spelling), standing(), NOW)[0] == PAID


@pytest.mark.parametrize("act", [redeem.scanned, redeem.typed])
def test_what_has_been_handled_already_acts_no_more(act):
    order = scan() if act is redeem.scanned else key_in()
    assert refusal(act, order, known=lambda number: number == 42) is Code.CODE_USED
    assert refusal(act, order, cursor=42) is Code.CODE_USED  # a former bridge may have acted on it
    assert act(order, standing(cursor=41), NOW)


def test_a_used_code_still_says_which_payment_it_is():
    with pytest.raises(redeem.Worthless) as caught:
        redeem.typed(key_in(), standing(cursor=42), NOW)
    reply = redeem.no(caught.value)
    assert (reply.accepted, reply.code, reply.number, reply.stay, reply.amount) == (
        False,
        Code.CODE_USED,
        42,
        STAY,
        200,
    )


def test_a_typed_code_is_good_for_as_long_as_the_phone_shows_it():
    late = PAID.paid_at + timedelta(seconds=21_600)
    assert redeem.typed(key_in(), standing(), late).number == 42
    assert refusal(redeem.typed, key_in(), late + timedelta(minutes=2)) is Code.EXPIRED


def test_without_keys_the_attendant_is_told_what_to_do_instead():
    with pytest.raises(BadMessage) as caught:
        redeem.typed(key_in(), standing(keys=None), NOW)
    assert caught.value.code is Code.UNKNOWN_KEY
    assert "QR" in str(caught.value)


@pytest.mark.parametrize(
    ("order", "code"),
    [
        (key_in(exit="99"), Code.EXIT_UNKNOWN),
        (shown("1" * 21, None), Code.BAD_MESSAGE),
        (msgspec.structs.replace(key_in(), actor=" "), Code.BAD_MESSAGE),
    ],
    ids=["no such exit", "no stay", "no author"],
)
def test_an_order_that_makes_no_sense_is_refused(order, code):
    with pytest.raises((BadMessage, Refused)) as caught:
        redeem.check_order(order, standing())
    assert caught.value.code is code


def test_three_wrong_codes_cost_ten_seconds_and_each_further_one_twice_as_long():
    lock, waits, now = Lock(), [], NOW
    for _ in range(12):
        lock, seconds = redeem.wait(redeem.failed(lock, now), now)
        waits.append(seconds)
        now += timedelta(seconds=seconds)
    assert waits == [0, 0, 10, 20, 40, 80, 160, 320, 640, 1280, 1280, 1280]


def test_a_clock_that_was_set_back_makes_no_wait_longer_than_it_can_be():
    lock = Lock(3, NOW + timedelta(days=3))
    assert redeem.wait(lock, NOW)[1] == 1280


@example([100] * 8)  # chance alone hardly ever makes so many small ones
@example([5_000, 4_000, 10])
@given(st.lists(st.integers(0, 819).map(lambda tens: tens * 10), max_size=60))
def test_a_days_typed_codes_never_exceed_its_caps(amounts):
    policy, today = Policy(codes_per_day=7, code_yen_per_day=9_000), redeem.Today()
    for amount in amounts:
        stated = redeem.typed(key_in(replace(PAID, amount=yen(amount))), standing(), NOW)
        if today.codes == 7 or today.yen + amount > 9_000:
            with pytest.raises(redeem.Worthless) as caught:
                redeem.check_caps(stated, today, policy)
            assert caught.value.code is Code.CODE_LIMIT
        else:
            redeem.check_caps(stated, today, policy)
            today = today.and_one(amount)
    assert today.codes <= 7
    assert today.yen <= 9_000


# --- in the lot, on real wires ----------------------------------------------------------------------------------------


class Lot:
    """A lot whose bridge knows its keys; the line to the cloud can be cut, and the clock moved."""

    def __init__(self, office) -> None:
        self.office, self.cloud = office, office.cloud
        self.cloud.keys = lot_keys()
        self.later = timedelta(0)

    def open(self, **policy):
        config = self.office.config
        profile = config.lots[LOT]
        lots = {LOT: msgspec.structs.replace(profile, policy=msgspec.structs.replace(profile.policy, **policy))}
        self.office.bridge = Bridge(replace(config, lots=lots), clock=lambda: datetime.now(UTC) + self.later)
        self.office.bridge.start()

    def cut(self):
        """The line goes down once the bridge has been connected in all its ways."""
        self.office.until(lambda: {kind for kind, _ in self.cloud.requests} >= {"feed", "keys", "reports"})
        self.office.until(lambda: self.cloud.keys is None or (self.office.data / f"lot-{LOT}.keys").exists())
        self.cloud.stop()

    def pay(self, bay: str, **more) -> Completion:
        """Paid in the cloud; the feed brings it once the line is there again."""
        number = self.office.pay(bay, **more)
        ring = KeyRing({9: self.cloud_public})
        return completions.verify(from_text(self.cloud.entries[number].completion), ring)

    @property
    def cloud_public(self) -> bytes:
        identity = keys.load_identity(self.office.data)
        return from_text(identity.completion_keys[0].public_key)

    def scan(self, completion: Completion) -> RedeemReply:
        packed = from_text(self.cloud.entries[completion.number].completion)
        return self.show(to_digits(packed))

    def type(self, completion: Completion, stay: StayRef | None = None, **more) -> RedeemReply:
        return self.show(typed_code(completion, 2, CODE_KEY), stay or completion.stay, **more)

    def show(self, text: str, stay: StayRef | None = None, **more) -> RedeemReply:
        fresh = {"redeem_id": os.urandom(8).hex(), "actor": "Sato"} | more
        return self.office.bridge.redeem(Redeem(lot=LOT, text=text, stay=stay, **fresh))


@pytest.fixture
def lot(plates_office):
    return Lot(plates_office)


def test_a_qr_code_lets_the_car_out_with_the_line_down_once_and_the_feed_later_changes_nothing(lot):
    lot.office.park("7")
    lot.open()
    lot.cut()
    paid = lot.pay("7")
    assert lot.scan(paid) == RedeemReply(accepted=True, number=1, stay=paid.stay, amount=200)
    lot.office.ends(1, CasePhase.SETTLED)
    again = lot.scan(paid)
    assert (again.accepted, again.code, again.stay, again.amount) == (False, Code.CODE_USED, paid.stay, 200)
    lot.cloud.start()
    lot.office.until(lambda: [one for one in lot.cloud.reports if isinstance(one, Redeemed)])
    (told,) = (one for one in lot.cloud.reports if isinstance(one, Redeemed))
    assert (told.number, told.way, told.actor, told.stay, told.amount) == (1, Way.QR, "Sato", paid.stay, 200)
    lot.office.park("8")
    lot.office.ends(lot.office.pay("8"), CasePhase.SETTLED)  # behind the first one in the feed
    assert lot.office.releases("7") == 1


def test_a_typed_code_lets_the_car_out_with_no_cloud_at_all(lot):
    lot.office.park("7")
    lot.open()
    lot.cut()
    lot.office.stop()
    lot.open()  # the PC was restarted meanwhile: what it needs is on its disk
    paid = lot.pay("7")
    assert lot.type(paid) == RedeemReply(accepted=True, number=1, stay=paid.stay, amount=200)
    lot.office.ends(1, CasePhase.SETTLED)
    assert lot.type(paid).code == lot.scan(paid).code == Code.CODE_USED
    lot.cloud.start()
    lot.office.until(lambda: [one for one in lot.cloud.reports if isinstance(one, Redeemed) and one.way is Way.CODE])
    lot.office.park("8")
    lot.office.ends(lot.office.pay("8"), CasePhase.SETTLED)
    assert lot.office.releases("7") == 1
    assert lot.office.alarm(Code.CONTRADICTION) is None


def test_the_code_of_another_stay_opens_nothing(lot):
    lot.office.park("7")
    lot.office.park("8")
    lot.open()
    lot.cut()
    paid, other = lot.pay("7"), lot.office.until(lambda: lot.office.stay_of("8"))
    assert lot.type(paid, other).code == Code.WRONG_CODE
    assert lot.type(paid, replace(paid.stay, entered_at=None)).code == Code.WRONG_CODE
    assert lot.office.snapshot().cases == ()
    assert lot.office.releases("7") == lot.office.releases("8") == 0


def test_guessing_is_locked_out_and_a_restart_does_not_help(lot):
    lot.office.park("7")
    lot.open()
    lot.cut()
    paid = lot.pay("7")
    wrong = [lot.show(f"{guess:021d}", paid.stay) for guess in range(3)]
    assert [(one.code, one.wait_seconds) for one in wrong] == [(Code.WRONG_CODE, wait) for wait in (0, 0, 10)]
    assert lot.type(paid).wait_seconds in range(7, 11)
    lot.office.stop()
    lot.open()
    lot.office.until(lambda: lot.office.stay_of("7"))
    locked = lot.type(paid)
    assert (locked.accepted, locked.code, bool(locked.wait_seconds)) == (False, Code.WRONG_CODE, True)
    lot.later = timedelta(seconds=11)
    assert lot.show(f"{4:021d}", paid.stay).wait_seconds == 20
    lot.later = timedelta(seconds=32)
    assert lot.type(paid).accepted
    assert lot.show(f"{5:021d}", paid.stay).wait_seconds == 0  # counted anew


def test_an_old_code_does_not_end_a_lock(lot):
    """Otherwise whoever has one genuine code could guess without end, two at a time."""
    lot.office.park("7")
    lot.open()
    lot.cut()
    paid = lot.pay("7")
    assert lot.type(paid).accepted
    for guess in range(2):
        assert lot.show(f"{guess:021d}", paid.stay).wait_seconds == 0
    assert lot.type(paid).code == Code.CODE_USED
    assert lot.show(f"{3:021d}", paid.stay).wait_seconds == 10


def test_a_locked_entry_still_takes_a_qr_code(lot):
    lot.office.park("7")
    lot.open()
    lot.cut()
    paid = lot.pay("7")
    for guess in range(3):
        lot.show(f"{guess:021d}", paid.stay)
    assert lot.scan(paid).accepted


def test_a_business_day_takes_so_many_typed_codes_and_no_more_and_a_restart_does_not_help(lot):
    for bay in ("7", "8", "9"):
        lot.office.park(bay)
    lot.open(codes_per_day=2)
    lot.cut()
    paid = [lot.pay(bay) for bay in ("7", "8", "9")]
    assert lot.type(paid[0]).accepted
    lot.office.stop()
    lot.open(codes_per_day=2)
    lot.office.until(lambda: lot.office.stay_of("8"))
    assert lot.type(paid[1]).accepted
    third = lot.type(paid[2])
    assert (third.code, third.number, third.stay, third.wait_seconds) == (Code.CODE_LIMIT, 3, paid[2].stay, 0)
    assert lot.scan(paid[2]).accepted  # a signature needs no cap


def test_a_business_day_takes_so_many_yen_by_typed_codes(lot):
    for bay in ("7", "8"):
        lot.office.park(bay)
    lot.open(code_yen_per_day=399)
    lot.cut()
    first, second = lot.pay("7"), lot.pay("8")
    assert lot.type(first).accepted
    assert lot.type(second).code == Code.CODE_LIMIT
    lot.later = timedelta(days=1)
    third = lot.pay("8")  # paid by the PC's clock of yesterday
    assert lot.type(replace(third, paid_at=third.paid_at + lot.later)).accepted


def test_a_code_that_is_over_opens_nothing(lot):
    lot.office.park("7")
    lot.open()
    lot.cut()
    paid = lot.pay("7", valid=timedelta(minutes=1))
    lot.later = timedelta(minutes=2)
    assert lot.scan(paid).code == Code.EXPIRED
    lot.later = timedelta(hours=6, minutes=2)
    assert lot.type(paid).code == Code.EXPIRED
    assert lot.office.snapshot().cases == ()


def test_without_the_lots_keys_only_typed_codes_are_refused(lot):
    lot.cloud.keys = None
    lot.office.park("7")
    lot.open()
    lot.cut()
    paid = lot.pay("7")
    for _ in range(5):
        told = lot.type(paid)
        assert (told.code, told.wait_seconds) == (Code.UNKNOWN_KEY, 0)
        assert "QR" in told.detail
    assert lot.scan(paid).accepted


def test_a_forged_qr_code_opens_nothing_and_does_not_use_up_the_number(lot):
    lot.office.park("7")
    lot.open()
    lot.cut()
    paid = lot.pay("7")
    forged = completions.sign(paid, SigningKey.generate(9))
    assert lot.show(to_digits(forged)).code == Code.BAD_SIGNATURE
    assert lot.scan(paid).accepted


def test_what_a_former_bridge_may_have_acted_on_is_not_opened_by_its_code(lot):
    """Its rows are not in this journal: only the cursor knows."""
    lot.office.cloud.codes.add("CODE-2")
    lot.cloud.feed_after, lot.cloud.generation = (1,), 4
    lot.office.stack.write_bridge_config()
    lot.office.enrol(again=True)
    lot.office.park("7")
    lot.open()
    lot.cut()
    paid = lot.pay("7")
    assert paid.number == 1
    assert lot.scan(paid).code == lot.type(paid).code == Code.CODE_USED
    assert lot.office.releases("7") == 0


def test_a_repeated_question_gets_the_first_answer(lot):
    lot.office.park("7")
    lot.open()
    lot.cut()
    paid = lot.pay("7")
    first = lot.type(paid, redeem_id="same")
    assert first.accepted
    assert lot.type(paid, redeem_id="same") == first
    lot.office.ends(1, CasePhase.SETTLED)
    assert lot.office.releases("7") == 1


def test_a_code_needs_somebody_who_has_signed_in_once_there_are_pins(lot):
    lot.office.park("7")
    store = FileStore(lot.office.data)
    kept = pins.hash_pin("483920", "Sato", keys.make_pepper(store))
    long_ago = datetime.now(UTC) - timedelta(days=1)
    hired = operators.add(Roster(), "Sato", OperatorRole.ATTENDANT, kept, long_ago)
    OperatorFile(lot.office.data).save(hired)
    lot.open()
    lot.cut()
    paid = lot.pay("7")
    assert lot.scan(paid).code == Code.SIGN_IN
    session = lot.office.bridge.sign_in(SignIn(operator="Sato", pin="483920")).session
    packed = from_text(lot.cloud.entries[1].completion)
    assert lot.show(to_digits(packed), session=session, actor="somebody else").accepted
    assert [one.actor for one in lot.office.bridge.reports(LOT, 100)[1] if isinstance(one, Redeemed)] == ["Sato"]


def test_the_console_asks_over_the_local_api(lot):
    lot.office.park("7")
    lot.open()
    lot.cut()
    paid = lot.pay("7")
    packed = from_text(lot.cloud.entries[1].completion)
    asked = Redeem(redeem_id="r", lot=LOT, text=to_digits(packed), actor="Sato")
    token = (lot.office.data / "api-token").read_text(encoding="ascii").strip()
    url = msgspec.json.decode((lot.office.data / "api.json").read_bytes())["url"]
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    with requests.post(f"{url}/v1/codes", data=encode(asked), headers=headers, timeout=5) as response:
        assert decode(response.content, RedeemReply) == RedeemReply(accepted=True, number=1, stay=paid.stay, amount=200)


def test_a_lot_that_is_not_this_bridges_is_named(lot):
    lot.open()
    reply = lot.office.bridge.redeem(Redeem(redeem_id="", lot=4711, text="1" * 21, actor="Sato"))
    assert (reply.accepted, reply.code) == (False, Code.LOT_UNKNOWN)
