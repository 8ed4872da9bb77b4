"""The terminal by itself: what it says to each command, and what it says no more once a dialogue has ended."""

from datetime import datetime

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.zvt_terminal.approval import Delivery
from drivers.zvt_terminal.codec import Apdu, SerialFraming, TcpFraming
from drivers.zvt_terminal.device import Terminal
from drivers.zvt_terminal.dialogue import CROSSING
from drivers.zvt_terminal.fields import Bmp, Control, bcd, field, fields
from drivers.zvt_terminal.line import TRIES, SerialLine, TcpLine
from drivers.zvt_terminal.settings import Card, Options

STAMP = datetime(2026, 11, 25, 14, 5, 6)  # noqa: DTZ001 - local time, as the machine prints it
OPTIONS = msgspec.convert({"tid": "10060001", "currency": "0392", "status_seconds": 4.0}, Options)
ACK = "80 00 00"
END = "06 0f 00"
READY = "06 0f 01 00"
REGISTERED = "06 0f 0a 19 00 29 10 06 00 01 49 03 92"
ABORTED = "06 1e 01 6c"
RESULT = "04 0f 1f 27 00 04 00 00 00 00 03 00 0b 00 00 08 29 10 06 00 01 49 03 92 0c 14 05 06 0d 11 25 87 00 08"


def pay(amount=300, currency="0392"):
    return Apdu(0x0601, field(Bmp.AMOUNT, bcd(amount, 6)) + field(Bmp.CURRENCY, bytes.fromhex(currency)))


class Talk:
    """A machine that talks to a terminal on TCP, with the clock in hand."""

    def __init__(self, **more):
        self.options = msgspec.structs.replace(OPTIONS, **more)
        self.terminal = Terminal(self.options, TcpLine(TcpFraming(), 3.0), receipt=7)
        self.now = 100.0
        self.terminal.opened(self.now)

    def due(self):
        raw = self.terminal.due(self.now)
        if raw:
            self.terminal.written(self.now)
        return [apdu.raw.hex(" ") for apdu in TcpFraming().feed(raw)]

    def hear(self, *said):
        """What the terminal says at once to messages."""
        for one in said:
            raw = one.raw if isinstance(one, Apdu) else bytes.fromhex(one)
            assert self.terminal.receive(raw, self.now) == b""
        return self.due()

    def wait(self, seconds):
        self.now += seconds
        return self.due()

    def approve(self, reference="A"):
        approval = self.terminal.prepare(reference, STAMP, self.now)
        self.terminal.give(approval)
        return approval

    def charge(self, amount=300):
        """Ask for money, up to the answered intermediate status."""
        said = self.hear(pay(amount))
        assert said[0] == ACK
        assert (said[1:] or self.wait(CROSSING)) == ["04 ff 01 0a"]
        assert self.hear(ACK) == []
        return self.terminal.asking

    def approved(self):
        """A charge of 300 whose result was said."""
        self.charge()
        approval = self.approve()
        assert self.due() == [RESULT]
        return approval

    def completed(self):
        approval = self.approved()
        assert self.hear(ACK) == [END]
        assert self.hear(ACK) == []
        return approval


class TestPayment:
    def test_goes_from_request_to_completion(self):
        talk = Talk()
        approval = talk.approved()
        assert approval.state is Delivery.SAID
        assert talk.hear(ACK) == [END]
        assert approval.state is Delivery.ACKNOWLEDGED
        assert talk.hear(ACK) == []
        assert approval.state is Delivery.COMPLETED
        assert talk.terminal.asking is None
        assert talk.wait(1000) == []

    def test_keeps_the_machine_waiting_with_intermediate_status(self):
        talk = Talk()
        talk.charge()
        assert talk.wait(3.9) == []
        assert talk.wait(0.2) == ["04 ff 01 0a"]
        assert talk.wait(4.1) == []  # not before the last one was answered
        assert talk.hear(ACK) == ["04 ff 01 0a"]

    def test_waits_for_the_answer_before_it_says_anything_else(self):
        talk = Talk()
        assert talk.hear(pay()) == [ACK, "04 ff 01 0a"]
        approval = talk.approve()
        assert talk.wait(1) == []
        assert approval.state is Delivery.QUEUED
        assert talk.hear(ACK) == [RESULT]

    def test_sends_no_status_to_a_machine_that_wants_none(self):
        talk = Talk()
        assert talk.hear("06 00 06 00 00 00 86 03 92") == [ACK, REGISTERED]
        assert talk.hear(ACK, pay()) == [ACK]
        assert talk.wait(60) == []

    def test_stops_the_status_that_the_machine_refuses(self):
        talk = Talk()
        talk.hear(pay())
        assert talk.hear("84 83 00") == []
        assert talk.wait(60) == []
        assert talk.terminal.asking is not None

    def test_prints_if_told_to_and_gives_up_printing_what_is_refused(self):
        talk = Talk(print_lines=True, text="Daiko")
        talk.charge()
        talk.approve()
        (result,) = talk.due()
        assert fields(bytes.fromhex(result)[3:])[Bmp.TEXT] == b"Daiko"
        assert talk.hear(ACK) == [Apdu(0x06D1, b"\0DENSHI KESSAI").raw.hex(" ")]
        assert talk.hear(ACK) == [Apdu(0x06D1, b"\x00300 YEN").raw.hex(" ")]
        assert talk.hear("84 cc 00") == [END]

    def test_of_sen_is_scaled_and_what_is_no_whole_yen_declined(self):
        talk = Talk(decimals=2)
        assert talk.charge(30_000).amount == 300
        assert talk.wait(CROSSING) == []
        assert talk.hear(pay(30_001)) == [ACK, "06 1e 01 83"]
        euro = Talk(currency="0978")
        assert euro.options.scale == 100

    @pytest.mark.parametrize(
        ("request_", "why"),
        [
            (pay(300, "0978"), "6f"),
            (pay(0), "c8"),
            (pay(10_000_000), "83"),
            (Apdu(0x0601), "83"),
            (Apdu(0x0601, b"\x04\x00\x00\x00\x00\x0a\x00"), "83"),
        ],
    )
    def test_that_cannot_be_is_declined(self, request_, why):
        talk = Talk()
        assert talk.hear(request_) == [ACK, f"06 1e 01 {why}"]
        assert talk.terminal.asking is None
        assert talk.hear(ACK) == []

    def test_ends_when_nobody_pays(self):
        talk = Talk(status_seconds=1000)
        charge = talk.charge()
        assert talk.wait(169) == []
        assert talk.wait(2) == [ABORTED]
        assert charge.ended == "nobody paid in time"

    def test_ends_when_the_machine_answers_no_more(self):
        talk = Talk()
        talk.hear(pay())
        assert talk.wait(14.9) == []
        assert talk.terminal.asking is not None
        assert talk.wait(0.2) == [ABORTED], "else the next 06 0F would be taken for the payment's"
        assert talk.terminal.asking is None


class TestAbort:
    @pytest.mark.parametrize("command", ["06 b0 00", "06 1e 00"])
    def test_before_the_approval_ends_the_charge(self, command):
        talk = Talk()
        charge = talk.charge()
        assert talk.hear(command) == [ACK, ABORTED]
        assert (talk.terminal.asking, charge.ended) == (None, "aborted at the machine")
        assert talk.hear(ACK) == []

    def test_takes_back_an_approval_of_which_nothing_was_said(self):
        talk = Talk()
        talk.hear(pay())
        approval = talk.approve()
        assert talk.hear("06 b0 00") == [ACK]
        assert approval.state is Delivery.WITHDRAWN
        assert talk.wait(CROSSING) == [ABORTED]

    def test_is_too_late_once_the_result_was_said(self):
        talk = Talk()
        approval = talk.approved()
        assert talk.hear("06 b0 00") == ["84 83 00"]
        assert talk.hear(ACK) == []
        assert talk.wait(CROSSING) == [END]
        talk.hear(ACK)
        assert approval.state is Delivery.COMPLETED

    def test_of_nothing_is_fine(self):
        assert Talk().hear("06 b0 00") == [ACK]


class TestResult:
    def test_that_did_not_issue_goods_is_rejected(self):
        talk = Talk()
        approval = talk.approved()
        assert talk.hear("84 66 00") == [ABORTED]
        assert approval.state is Delivery.REJECTED
        assert talk.hear(ACK, pay())[0] == ACK
        assert talk.terminal.asking is not None, "a rejected result is never said again"

    def test_answered_with_another_no_is_in_doubt_until_the_machine_has_our_abort(self):
        talk = Talk()
        approval = talk.approved()
        assert talk.hear("84 83 00") == [ABORTED]
        assert approval.state is Delivery.SAID
        assert "8483" in approval.detail
        assert talk.hear(ACK) == []
        assert approval.state is Delivery.REJECTED

    def test_answered_with_another_no_and_an_abort_that_is_refused_stays_in_doubt(self):
        talk = Talk()
        approval = talk.approved()
        assert talk.hear("84 83 00") == [ABORTED]
        assert talk.hear("84 83 00") == []
        assert approval.state is Delivery.SAID

    def test_of_which_a_part_was_issued_stays_in_doubt(self):
        talk = Talk()
        approval = talk.approved()
        assert talk.hear("84 9d 07 04 00 00 00 00 02 00", ACK) == [ABORTED]
        assert talk.hear(ACK) == []
        assert approval.state is Delivery.SAID

    def test_and_end_are_acknowledged_by_84_00_as_well(self):
        talk = Talk()
        assert talk.hear(pay()) == [ACK, "04 ff 01 0a"]
        assert talk.hear("84 00 00") == []
        assert talk.wait(4.1) == ["04 ff 01 0a"]
        talk.hear("84 00 00")
        approval = talk.approve()
        assert talk.due() == [RESULT]
        assert talk.hear("84 00 00") == [END]
        talk.hear("84 00 00")
        assert approval.state is Delivery.COMPLETED

    def test_tells_of_a_card_where_the_machine_books_by_it(self):
        talk = Talk(card=Card(type=2, name="Daiko"))
        talk.charge()
        talk.approve()
        (result,) = talk.due()
        told = fields(bytes.fromhex(result)[3:])
        assert (told[Bmp.CARD_TYPE], told[Bmp.CARD_NAME]) == (b"\x02", b"Daiko\0")

    def test_answered_with_please_wait_is_said_again(self):
        talk = Talk()
        approval = talk.approved()
        assert talk.hear("84 9c 00") == []
        assert talk.wait(0.9) == []
        assert talk.wait(0.2) == [RESULT]
        assert talk.hear(ACK) == [END]
        assert approval.state is Delivery.ACKNOWLEDGED

    def test_without_an_answer_is_waited_for_and_may_come_late(self):
        talk = Talk()
        approval = talk.approved()
        assert talk.wait(100) == []
        assert talk.hear(ACK) == [END]
        assert talk.hear(ACK) == []
        assert approval.state is Delivery.COMPLETED

    def test_whose_end_is_refused_is_not_completed(self):
        talk = Talk()
        approval = talk.approved()
        talk.hear(ACK)
        assert talk.hear("84 83 00") == []
        assert approval.state is Delivery.ACKNOWLEDGED


class TestSaidAgain:
    def test_the_same_amount_gets_the_same_result_while_it_was_not_completed(self):
        talk = Talk()
        approval = talk.approved()
        talk.terminal.lost(talk.now, certain=False)
        talk.terminal.opened(talk.now)
        talk.now += 200
        assert talk.hear(pay()) == [ACK, RESULT]
        assert talk.terminal.asking is None
        assert talk.hear(ACK) == [END]
        talk.hear(ACK)
        assert approval.state is Delivery.COMPLETED

    def test_also_after_the_result_was_acknowledged_without_its_end(self):
        talk = Talk()
        approval = talk.approved()
        assert talk.hear(ACK) == [END]
        talk.terminal.lost(talk.now, certain=False)
        talk.terminal.opened(talk.now)
        assert approval.state is Delivery.ACKNOWLEDGED
        assert talk.hear(pay()) == [ACK, RESULT]

    def test_at_most_one_more_time_where_the_end_is_never_answered(self):
        talk = Talk()
        talk.approved()
        for _ in range(2):
            assert talk.hear(ACK) == [END]
            talk.terminal.lost(talk.now, certain=False)
            talk.terminal.opened(talk.now)
            answers = talk.hear(pay())
        assert answers == [ACK, "04 ff 01 0a"]
        assert talk.terminal.asking is not None

    def test_a_completed_sale_is_never_said_again_to_a_new_request(self):
        talk = Talk()
        talk.completed()
        talk.charge()
        assert talk.terminal.asking is not None

    @pytest.mark.parametrize("repeat_seconds", [0, 300])
    def test_nor_is_one_that_is_too_old(self, repeat_seconds):
        talk = Talk(repeat_seconds=repeat_seconds)
        approval = talk.approved()
        talk.terminal.lost(talk.now, certain=False)
        talk.now += repeat_seconds + 1
        talk.charge()
        assert talk.terminal.asking is not None
        assert approval.state is Delivery.SAID

    def test_another_amount_closes_the_window(self):
        talk = Talk()
        approval = talk.approved()
        talk.terminal.lost(talk.now, certain=False)
        assert talk.charge(500).amount == 500
        talk.hear("06 b0 00", ACK)
        assert talk.charge(300).amount == 300
        assert approval.state is Delivery.SAID

    def test_after_a_second_telling_goods_not_issued_proves_nothing(self):
        talk = Talk()
        approval = talk.approved()
        talk.terminal.lost(talk.now, certain=False)
        talk.hear(pay())
        assert talk.hear("84 66 00") == [ABORTED]
        talk.hear(ACK)
        assert approval.state is Delivery.SAID

    def test_a_request_that_was_said_twice_is_one_charge(self):
        talk = Talk()
        charge = talk.charge()
        talk.now += 2
        assert talk.hear(pay()) == [ACK]
        assert talk.terminal.asking is charge
        talk.now += 20
        talk.hear(pay())
        assert talk.terminal.asking is not charge
        assert charge.ended

    def test_a_request_said_twice_while_the_approval_waits_gets_it(self):
        talk = Talk()
        talk.hear(pay())
        approval = talk.approve()
        assert talk.hear(pay()) == [ACK]
        assert talk.wait(CROSSING) == [RESULT]
        assert approval.state is Delivery.SAID


class TestTurns:
    """Some machines never answer 06 0F, others command while we are the master, or take any 06 0F for a payment."""

    ENQUIRY = "05 01 00"
    REGISTER = "06 00 06 00 00 00 8e 03 92"

    def unanswered(self, **more):
        """A sale whose end was said and not answered."""
        talk = Talk(**more)
        approval = talk.approved()
        assert talk.hear(ACK) == [END]
        return talk, approval

    @pytest.mark.parametrize("command", [ENQUIRY, REGISTER, "06 70 00", "06 50 03 00 00 00", "06 e0 00"])
    def test_the_next_command_on_the_same_line_says_that_the_end_was_read(self, command):
        talk, approval = self.unanswered()
        talk.now += 100
        talk.hear(command)
        assert approval.state is Delivery.COMPLETED
        assert "next command" in approval.proof

    def test_and_the_next_customer_with_the_same_fee_gets_nothing_for_it(self):
        talk, approval = self.unanswered()
        talk.now += 60
        assert talk.charge(300).number == 2
        assert approval.state is Delivery.COMPLETED
        assert talk.terminal.asking is not None

    def test_but_not_a_command_on_another_line(self):
        talk, approval = self.unanswered()
        talk.terminal.lost(talk.now, certain=False)
        talk.terminal.opened(talk.now)
        assert talk.hear(self.ENQUIRY) == [ACK, READY]
        assert approval.state is Delivery.ACKNOWLEDGED
        assert talk.hear(ACK, pay()) == [ACK, RESULT]

    def test_nor_one_after_t4(self):
        talk, approval = self.unanswered()
        assert talk.wait(171) == []
        talk.hear(self.ENQUIRY)
        assert approval.state is Delivery.ACKNOWLEDGED
        assert talk.hear(ACK, pay()) == [ACK, RESULT]

    @pytest.mark.parametrize("command", ["06 b0 00", "06 20 03 00 00 00", "06 30 06 00 00 00 87 00 08"])
    def test_nor_one_of_a_machine_that_wants_out_or_asks_what_became_of_it(self, command):
        talk, approval = self.unanswered()
        talk.hear(command)
        talk.terminal.receive(bytes.fromhex(self.REGISTER), talk.now + 1)
        assert approval.state is Delivery.ACKNOWLEDGED

    def test_nor_an_enquiry_of_a_machine_that_enquires_out_of_turn_but_its_next_payment_does(self):
        talk = Talk()
        talk.charge()
        assert talk.hear(self.ENQUIRY) == ["84 83 00"]
        approval = talk.approve()
        assert talk.wait(CROSSING) == [RESULT]
        assert talk.hear(ACK) == [END]
        assert talk.hear(self.ENQUIRY) == [ACK]
        assert approval.state is Delivery.ACKNOWLEDGED
        talk.now += 1
        assert talk.hear(pay())[0] == ACK
        assert approval.state is Delivery.COMPLETED
        assert talk.terminal.asking is not None

    def test_nor_does_a_refused_end_count(self):
        talk, approval = self.unanswered()
        talk.hear("84 83 00", self.ENQUIRY)
        assert approval.state is Delivery.ACKNOWLEDGED

    def test_the_next_command_after_a_no_and_our_abort_says_that_nothing_was_sold(self):
        talk = Talk()
        approval = talk.approved()
        assert talk.hear("84 83 00") == [ABORTED]
        talk.hear(self.ENQUIRY)
        assert approval.state is Delivery.REJECTED

    @pytest.mark.parametrize(
        "command",
        [
            *(ENQUIRY, "06 70 00", "06 20 03 00 00 00", "06 50 03 00 00 00", "06 93 03 00 00 00"),
            *("06 e0 00", "06 1b 00", "08 30 01 01", "06 30 03 00 00 00", "0f 10 00"),
        ],
    )
    def test_a_command_while_a_charge_is_open_is_refused_and_the_charge_stands(self, command):
        talk = Talk()
        charge = talk.charge()
        assert talk.hear(command) == ["84 83 00"]
        assert talk.terminal.asking is charge
        talk.approve()
        assert talk.wait(CROSSING) == [RESULT]
        assert talk.hear(ACK) == [END]

    def test_an_answer_to_our_answer_does_not_count_for_what_is_said_next(self):
        talk = Talk()
        talk.charge()
        talk.hear(self.ENQUIRY)
        approval = talk.approve()
        assert talk.hear(ACK) == []
        assert talk.wait(CROSSING) == [RESULT]
        assert approval.state is Delivery.SAID
        talk.hear(self.ENQUIRY)
        assert talk.hear(ACK, ACK) == []
        assert approval.state is Delivery.ACKNOWLEDGED
        assert talk.wait(CROSSING) == [END]

    @pytest.mark.parametrize("command", [REGISTER, "06 02 00"])
    def test_a_registration_and_a_log_off_end_the_charge_as_aborted(self, command):
        talk = Talk()
        charge = talk.charge()
        assert talk.hear(command) == [ACK, ABORTED]
        assert (talk.terminal.asking, charge.ended) == (None, "the machine broke it off")

    def test_a_registration_with_a_wrong_password_ends_nothing(self):
        talk = Talk(password="123456")
        charge = talk.charge()
        assert talk.hear(self.REGISTER) == ["84 83 00"]
        assert talk.terminal.asking is charge

    def test_a_command_while_the_result_is_under_way_is_refused_and_the_result_goes_on(self):
        talk = Talk()
        approval = talk.approved()
        assert talk.hear(self.ENQUIRY) == ["84 83 00"]
        assert talk.hear(ACK) == []
        assert talk.wait(CROSSING) == [END]
        talk.hear(ACK)
        assert approval.state is Delivery.COMPLETED

    def test_a_registration_while_the_result_is_under_way_leaves_it_in_doubt(self):
        talk = Talk()
        approval = talk.approved()
        assert talk.hear(self.REGISTER) == [ACK]
        assert talk.wait(CROSSING) == [ABORTED]
        talk.hear(ACK)
        assert approval.state is Delivery.SAID

    def test_what_became_of_a_result_that_was_said_may_be_asked_at_once(self):
        talk = Talk()
        approval = talk.approved()
        assert talk.hear("06 20 03 00 00 00") == [ACK]
        assert talk.wait(CROSSING) == [RESULT]
        assert approval.told == 2

    def test_no_enquiry_comes_between_the_end_of_a_charge_and_our_telling_it(self):
        talk = Talk()
        talk.hear(pay())  # its status is not answered yet
        assert talk.hear("06 b0 00") == [ACK]
        assert talk.hear(self.ENQUIRY) == ["84 83 00"]
        assert talk.wait(CROSSING) == [ABORTED]
        assert talk.hear(self.ENQUIRY)[0] == ACK


class TestLine:
    def test_that_breaks_ends_the_charge(self):
        talk = Talk()
        charge = talk.charge()
        talk.terminal.lost(talk.now, certain=False)
        talk.terminal.opened(talk.now)
        assert (talk.terminal.asking, charge.ended) == (None, "the line broke")
        assert talk.wait(10) == []

    @pytest.mark.parametrize(("certain", "state"), [(True, Delivery.WITHDRAWN), (False, Delivery.SAID)])
    def test_that_breaks_while_the_result_leaves(self, certain, state):
        talk = Talk()
        talk.charge()
        approval = talk.approve()
        assert talk.terminal.due(talk.now)
        talk.terminal.lost(talk.now, certain=certain)
        assert approval.state is state

    def test_that_breaks_while_it_is_said_again_takes_nothing_back(self):
        talk = Talk()
        approval = talk.approved()
        talk.terminal.lost(talk.now, certain=False)
        talk.terminal.receive(pay().raw, talk.now)
        assert talk.terminal.due(talk.now)
        talk.terminal.lost(talk.now, certain=True)
        assert approval.state is Delivery.SAID

    def test_an_answer_that_crossed_a_command_counts_for_nothing(self):
        talk = Talk()
        talk.hear(pay())  # its status is not answered yet
        assert talk.hear(pay(500)) == [ACK]
        assert talk.hear(ACK) == []
        assert talk.wait(CROSSING) == ["04 ff 01 0a"]
        approval = talk.approve()
        assert talk.hear(ACK)[0].startswith("04 0f")
        assert approval.state is Delivery.SAID

    def test_stray_answers_and_garbage_are_passed_over(self):
        talk = Talk()
        assert talk.hear(ACK, "84 83 00", "ff ff") == []
        talk.charge()
        assert talk.terminal.asking is not None

    def test_half_a_message_is_forgotten_in_time(self):
        talk = Talk()
        assert talk.hear("06 41 fe 00 00") == []
        assert talk.wait(3.1) == []
        assert talk.hear("06 02 00") == [ACK]


class TestOtherCommands:
    @pytest.mark.parametrize(
        ("said", "answers"),
        [
            ("06 00 08 00 00 00 8e 03 92 03 00", [ACK, REGISTERED]),
            ("06 00 06 00 00 00 8e 09 78", ["84 6f 00"]),
            ("06 00 19 00 00 00 08 49 03 92 03 00 06 0e 26 0c 04 0f 04 ff 06 0f 06 1e 06 d1 06 d3", [ACK, REGISTERED]),
            ("06 00 ff 06 00 00 00 00 8e 03 92", [ACK, REGISTERED]),
            ("06 00 00", [ACK, "06 0f 07 19 00 29 10 06 00 01"]),
            ("06 00 04 00 00 00 8e", [ACK, "06 0f 07 19 00 29 10 06 00 01"]),
            ("06 02 00", [ACK]),
            ("05 01 03 00 00 00", [ACK, READY]),
            ("05 01 00", [ACK, READY]),
            ("06 93 03 00 00 00", [ACK, END]),
            ("06 91 08 aa 26 11 29 0c 12 00 00", [ACK, END]),
            ("06 18 00", [ACK, END]),
            ("06 1a 00", [ACK, END]),
            ("06 79 00", [ACK, END]),
            ("08 30 01 01", [ACK, END]),
            ("06 70 00", [ACK, END]),
            ("06 30 03 00 00 00", [ACK, "06 1e 01 b5"]),
            ("06 31 0a 00 00 00 04 00 00 00 00 03 00", [ACK, "06 1e 01 83"]),
            ("06 20 03 00 00 00", [ACK, "06 1e 01 83"]),
            ("06 22 00", ["84 83 00"]),
            ("06 e0 02 f0 05", ["84 83 00"]),
            ("0f 10 03 06 02 00", ["84 83 00"]),
            ("0f 10 06 06 00 03 00 00 00", ["84 83 00"]),
        ],
    )
    def test_is_answered(self, said, answers):
        talk = Talk()
        assert talk.hear(said) == answers
        assert talk.hear(ACK) == []

    @pytest.mark.parametrize("said", ["06 00 06 00 00 00 8e 03 92", "06 50 03 00 00 00", "05 01 03 00 00 00"])
    def test_with_a_wrong_password_is_refused(self, said):
        talk = Talk(password="123456")
        assert talk.hear(said) == ["84 83 00"]
        assert talk.hear(said.replace("00 00 00", "12 34 56"))[0] == ACK

    def test_end_of_day_tells_what_was_approved_once(self):
        talk = Talk()
        talk.completed()
        for total in ("00 00 00 00 03 00", "00 00 00 00 00 00"):
            told = f"04 0f 11 27 00 04 {total} 29 10 06 00 01 49 03 92"
            assert talk.hear("06 50 03 00 00 00") == [ACK, told]
            assert talk.hear(ACK) == [END]
            assert talk.hear(ACK) == []

    def test_a_total_that_was_not_taken_is_told_again(self):
        talk = Talk()
        talk.completed()
        first = talk.hear("06 50 03 00 00 00")
        talk.terminal.lost(talk.now, certain=False)
        assert talk.hear("06 50 03 00 00 00") == first


class TestRepeatReceipt:
    ASK = "06 20 05 00 00 00 03 03"

    def test_of_a_sale_says_its_result_again(self):
        talk = Talk()
        approval = talk.completed()
        assert talk.hear(self.ASK) == [ACK, RESULT]
        assert talk.hear(ACK) == [END]
        talk.hear(ACK)
        assert approval.state is Delivery.COMPLETED
        assert talk.hear("06 50 03 00 00 00")[1].startswith("04 0f 11 27 00 04 00 00 00 00 03 00")

    def test_settles_what_was_not_known(self):
        talk = Talk()
        approval = talk.approved()
        talk.terminal.lost(talk.now, certain=False)
        assert talk.hear(self.ASK) == [ACK, RESULT]
        talk.hear(ACK)
        talk.hear(ACK)
        assert approval.state is Delivery.COMPLETED

    def test_of_a_charge_that_was_not_approved_never_tells_an_older_success(self):
        talk = Talk()
        talk.completed()
        talk.charge()
        talk.terminal.lost(talk.now, certain=False)
        assert talk.hear(self.ASK) == [ACK, "04 0f 0c 27 6c 04 00 00 00 00 03 00 49 03 92"]
        assert talk.hear(ACK) == [END]

    def test_of_a_refused_request_does_neither(self):
        talk = Talk()
        talk.completed()
        talk.hear(pay(300, "0978"))
        talk.hear(ACK)
        assert talk.hear(self.ASK)[1].startswith("04 0f 0c 27 6c")

    def test_reversal_is_noted(self):
        talk = Talk()
        approval = talk.completed()
        assert talk.hear("06 30 06 00 00 00 87 00 08") == [ACK, "06 1e 01 b5"]
        assert "reversal" in approval.detail


class Cable:
    """A machine on a serial cable: bytes, not messages."""

    def __init__(self):
        self.terminal = Terminal(OPTIONS, SerialLine(5.0), receipt=7)
        self.now = 0.0
        self.terminal.opened(self.now)

    def hear(self, *said):
        for one in said:
            self.terminal.receive(one, self.now)
        return self.due()

    def due(self):
        raw = self.terminal.due(self.now)
        if raw:
            self.terminal.written(self.now)
        return raw

    def wait(self, seconds):
        self.now += seconds
        return self.due()


def framed(apdu):
    return SerialFraming().encode(apdu if isinstance(apdu, Apdu) else Apdu(apdu))


A, N = b"\x06", b"\x15"
STATUS = framed(Apdu(0x04FF, b"\x0a"))


class TestSerial:
    def asked(self):
        cable = Cable()
        assert cable.hear(framed(pay())) == A + framed(0x8000)
        assert cable.hear(A) == STATUS
        assert cable.hear(A) == b""
        return cable

    def approved(self):
        cable = self.asked()
        assert cable.hear(framed(0x8000)) == A
        approval = cable.terminal.prepare("A", STAMP, cable.now)
        cable.terminal.give(approval)
        assert cable.due() == framed(Apdu(0x040F, bytes.fromhex(RESULT)[3:]))
        return cable, approval

    def test_each_frame_waits_for_the_byte_that_acknowledges_the_last(self):
        cable, approval = self.approved()
        assert cable.hear(A) == b""
        assert cable.hear(framed(0x8000)) == A + framed(0x060F)
        assert cable.hear(A, framed(0x8000)) == A
        assert approval.state is Delivery.COMPLETED

    def test_a_frame_is_said_again_on_nak_and_on_silence_three_times_in_all(self):
        cable = Cable()
        answer = framed(0x8000)
        assert cable.hear(framed(pay())) == A + answer
        assert cable.hear(N) == answer
        assert cable.wait(4.9) == b""
        assert cable.wait(0.2) == answer
        assert TRIES == 3
        cable.wait(5.1)
        assert cable.wait(5.1) == framed(Apdu(0x061E, b"\x6c"))
        assert cable.terminal.asking is None

    def test_an_answer_said_twice_is_not_the_answer_to_the_next_frame(self):
        cable, approval = self.approved()
        assert cable.hear(A, framed(0x8000)) == A + framed(0x060F)
        assert cable.hear(framed(0x8000)) == A  # our ACK to it got lost; 06 0F is not acknowledged yet
        assert approval.state is Delivery.ACKNOWLEDGED
        assert cable.hear(A, framed(0x8000)) == A
        assert approval.state is Delivery.COMPLETED

    def test_a_late_ack_does_not_count_for_the_next_frame(self):
        cable, approval = self.approved()
        cable.wait(5.1)  # the result, once more
        assert cable.hear(A, framed(0x8000)) == A
        assert cable.hear(A, framed(0x8000)) == A  # both for the result; the end was not said yet
        assert approval.state is Delivery.ACKNOWLEDGED
        assert cable.wait(5.1) == framed(0x060F)

    def test_a_broken_frame_is_refused(self):
        cable = Cable()
        raw = framed(pay())
        assert cable.hear(raw[:-1] + bytes((raw[-1] ^ 1,))) == N
        assert cable.hear(raw) == A + framed(0x8000)

    def test_a_frame_with_an_xor_in_the_place_of_the_crc_is_refused(self):
        cable = Cable()
        assert cable.hear(framed(pay())[:-2] + b"\x5a") == b""
        assert cable.wait(0.1) == b""
        assert cable.wait(0.2) == N
        assert cable.terminal.asking is None

    def test_noise_between_frames_is_not_answered(self):
        cable = Cable()
        assert cable.hear(b"\x41\x10\x55") == b""
        assert cable.wait(1) == b""
        assert cable.hear(framed(pay())) == A + framed(0x8000)

    def test_a_result_that_nobody_takes_stays_in_doubt(self):
        cable, approval = self.approved()
        for _ in range(TRIES + 1):
            cable.wait(5.1)
        assert cable.wait(5.1) == b""
        assert approval.state is Delivery.SAID

    def test_an_answer_comes_at_once_after_a_frame_that_was_said_again(self):
        cable, approval = self.approved()
        assert cable.hear(A, framed(0x8000)) == A + framed(0x060F)
        assert cable.hear(N) == framed(0x060F)
        assert cable.hear(A, framed(0x8000)) == A
        assert approval.state is Delivery.COMPLETED
        assert cable.hear(framed(0x0501)) == A + framed(0x8000)
        assert cable.hear(A) == framed(Apdu(0x060F, b"\0")), "a NAK asked for it: no second ACK can come"

    def test_also_where_silence_was_the_reason_but_then_we_say_nothing_ourselves_for_a_while(self):
        cable, _ = self.approved()
        assert cable.wait(5.1)
        assert cable.hear(A, framed(0x8000)) == A
        assert cable.hear(framed(0x8000)) == A  # said twice
        assert cable.hear(framed(0x0501)) == A + framed(0x8483)
        assert cable.hear(A) == b""
        assert cable.wait(0.9) == b""
        assert cable.wait(0.2) == framed(0x060F)

    @pytest.mark.parametrize("acknowledged", [True, False])
    def test_a_command_says_that_the_end_was_read_if_its_frame_was_acknowledged(self, acknowledged):
        cable, approval = self.approved()
        cable.hear(A, framed(0x8000))
        cable.hear(*([A] if acknowledged else []), framed(pay()))
        assert approval.state is (Delivery.COMPLETED if acknowledged else Delivery.ACKNOWLEDGED)

    def test_but_not_a_registration_for_the_machine_may_have_been_off(self):
        cable, approval = self.approved()
        cable.hear(A, framed(0x8000))
        cable.hear(A, framed(0x0600))
        assert approval.state is Delivery.ACKNOWLEDGED

    def test_a_command_after_a_frame_that_nobody_acknowledged_proves_nothing(self):
        cable, approval = self.approved()
        assert cable.hear(A, framed(0x8000)) == A + framed(0x060F)
        for _ in range(TRIES - 1):
            assert cable.wait(5.1) == framed(0x060F)
        assert cable.wait(5.1) == b""
        cable.hear(framed(pay()))
        assert approval.state is Delivery.ACKNOWLEDGED

    def test_a_no_is_to_arrive_before_a_command_is_heard(self):
        cable = Cable()
        assert cable.hear(framed(pay(300, "0978"))) == A + framed(0x8000)
        assert cable.hear(A) == framed(Apdu(0x061E, b"\x6f"))
        assert cable.hear(framed(0x0501)) == A
        assert cable.hear(A) == framed(0x8483)
        assert cable.hear(A, framed(0x0501)) == A + framed(0x8000)


LATER = {
    Delivery.QUEUED: set(Delivery),
    Delivery.SAID: {Delivery.SAID, Delivery.ACKNOWLEDGED, Delivery.COMPLETED, Delivery.REJECTED},
    Delivery.ACKNOWLEDGED: {Delivery.ACKNOWLEDGED, Delivery.COMPLETED},
    Delivery.COMPLETED: {Delivery.COMPLETED},
    Delivery.WITHDRAWN: {Delivery.WITHDRAWN},
    Delivery.REJECTED: {Delivery.REJECTED},
}
"""What may become of an approval: what was said once is never called unsaid."""

controls = st.sampled_from([*Control, 0x8400, 0x8466, 0x849C, 0x8483, 0x0622])
events = st.one_of(
    st.builds(lambda control, data: Apdu(control, data), controls, st.binary(max_size=20)),
    st.sampled_from([pay(), pay(500), Apdu(0x8000), Apdu(0x8000), Apdu(0x06B0), "approve", "approve", "break", "wait"]),
    st.binary(max_size=12),
)


@given(st.lists(events, max_size=40), st.booleans())
@settings(max_examples=300)
def test_whatever_comes_it_never_raises_and_takes_back_nothing_that_was_said(happened, serial):
    line = SerialLine(5.0) if serial else TcpLine(TcpFraming(), 3.0)
    terminal, now, seen = Terminal(OPTIONS, line), 0.0, {}
    terminal.opened(now)
    for number, event in enumerate(happened):
        now += 0.4
        match event:
            case "approve" if terminal.asking is not None:
                terminal.give(terminal.prepare(f"R{number}", STAMP, now))
            case "break":
                terminal.lost(now, certain=number % 2 == 0)
                terminal.opened(now)
            case "wait":
                now += 7
            case Apdu():
                terminal.receive(line.frame(event) + A * serial, now)
            case bytes():
                terminal.receive(event, now)
        if terminal.due(now) and number % 3:
            terminal.written(now)
        for reference, approval in terminal.approvals.items():
            before = seen.get(reference, Delivery.QUEUED)
            assert approval.state in LATER[before] or (before is Delivery.SAID and event == "break")
            seen[reference] = approval.state
