"""The reader decides by what the machine says, in whatever order it is said. No line, no thread, no clock."""

from datetime import UTC, datetime, timedelta

import pytest

from drivers.mdb_cashless.amounts import Amounts
from drivers.mdb_cashless.device import REMEMBERED, Manner, Reader
from drivers.mdb_cashless.qibixx import Qibixx
from drivers.mdb_cashless.request import Stage
from parking.money import Yen

SET_UP = (
    b"V\nH\nC,SETCONF,mdb-currency-code=0x1392\nC,SETCONF,mdb-decimal-places=0\nC,SETCONF,mdb-scale-factor=1\n"
    b"C,SETCONF,mdb-always-idle=1\nC,1\n"
)
ASKED = "c,STATUS,VEND,450,1"
ACK, IDLE, ENABLED, INACTIVE = "r,ACK", "c,STATUS,IDLE", "c,STATUS,ENABLED", "c,STATUS,INACTIVE"
SUCCESS, FAILURE, NO_VEND = "c,VEND,SUCCESS", 'c,ERR,"VEND 3"', 'c,ERR,"VEND -3"'
CANCELLED, RESET, NOT_TAKEN = "c,ERR,VEND 1", "c,ERR,VEND 5", 'c,ERR,"VEND -2"'
IS_ON, IS_OFF, TAKEN = 'c,ERR,"cashless is on"', 'c,ERR,"cashless is off"', "c,SET,OK"


class Line:
    """A reader whose line is played by hand."""

    def __init__(self, manner=None, opened=True):
        self.now, self.wall = 100.0, datetime(2026, 11, 25, 3, 0, 0, 900_000, tzinfo=UTC)
        self.reader = Reader(manner or Manner("1", Amounts()), Qibixx(), lambda: self.wall)
        self.said = b""
        if opened:
            self.open()

    def open(self):
        self.reader.opened(self.now)
        self.says()
        self.hears("v,4.0.2.0,1", "c,1", ENABLED)
        self.said = b""

    def says(self, leaves=True):
        """What is due now."""
        said = self.reader.due(self.now)
        self.said += said
        if said and leaves:
            self.reader.written(self.now)
        return said

    def hears(self, *lines):
        self.reader.receive("".join(f"{line}\n" for line in lines).encode(), self.now)

    def approved(self, reference="DK-1-1"):
        """The machine asks, somebody pays, the approval leaves."""
        self.hears(ASKED)
        request = self.reader.request
        request.approve(reference)
        assert self.says() == b"C,VEND,450\n"
        return request


@pytest.fixture
def line():
    return Line()


# --- opening and staying ----------------------------------------------------------------------------------------------


def test_it_sets_the_adapter_up_and_never_switches_it_off():
    line = Line(opened=False)
    line.reader.opened(line.now)
    assert line.says() == SET_UP
    assert b"C,0" not in SET_UP
    assert not line.reader.alive
    line.hears("v,4.0.2.0,1")
    assert not line.reader.alive
    line.hears("c,1")
    assert line.reader.alive
    assert line.says() == b""


def test_it_says_its_decimals_and_who_begins_the_session():
    line = Line(Manner("1", Amounts(2, 10), credit=Yen(1000)), opened=False)
    line.reader.opened(line.now)
    said = line.says()
    for word in (b"decimal-places=2\n", b"scale-factor=10\n", b"always-idle=0\n"):
        assert word in said


def test_a_set_up_without_an_answer_is_said_again():
    line = Line(opened=False)
    line.reader.opened(line.now)
    assert line.says() == SET_UP
    line.now += 2.1
    assert SET_UP in line.says()


def test_a_silent_adapter_is_asked_and_given_up_after_its_patience(line):
    assert line.says() == b""
    line.now += 1.1
    assert line.says() == b"V\n"
    line.now += 1.1
    assert line.says() == b"V\n"
    assert line.reader.alive
    line.now += 1.1
    assert line.says() == b"V\n" + SET_UP
    assert not line.reader.alive


def test_one_lost_answer_is_not_the_end(line):
    line.hears(ASKED)
    for _ in range(20):
        line.now += 1.1
        assert line.says() == b"V\n"
        line.now += 1.1
        assert line.says() == b"V\n"
        line.hears("v,4.0.2.0,1")
    assert line.reader.alive
    assert line.reader.request.stage is Stage.ASKED


def test_what_a_silent_adapter_asked_for_before_is_not_believed_any_more(line):
    line.hears(ASKED)
    request = line.reader.request
    for _ in range(3):
        line.now += 1.1
        line.says()
    assert request.stage is Stage.WITHDRAWN
    assert line.reader.request is None


# --- asked ------------------------------------------------------------------------------------------------------------


def test_a_request_opens_a_stay_of_the_desk_in_whole_seconds(line):
    line.hears(ASKED)
    request = line.reader.request
    assert (request.ref.key, request.amount) == ("desk:1@1795575600", 450)
    assert request.ref.entered_at == line.wall.replace(microsecond=0)


def test_no_two_requests_are_the_same_stay_however_fast_they_come(line):
    keys = set()
    for back in (0, 0, 0, 5, 3600):
        line.wall -= timedelta(seconds=back)
        line.hears(ASKED, IDLE, ASKED)
        keys.add(line.reader.request.ref.key)
        line.hears(IDLE)
    assert len(keys) == 5
    assert len({one.ref.key for one in line.reader._requests}) == 10


@pytest.mark.parametrize("end", [IDLE, ENABLED, INACTIVE, "c,STATUS,DISABLED", CANCELLED, RESET])
def test_a_request_ends_when_the_machine_leaves_the_vend(line, end):
    line.hears(ASKED)
    request = line.reader.request
    line.hears(end)
    assert line.reader.request is None
    assert request.stage is Stage.WITHDRAWN


def test_an_approval_of_what_was_withdrawn_in_the_same_breath_is_never_said(line):
    line.hears(ASKED)
    request = line.reader.request
    request.approve("DK-1-1")
    line.hears(IDLE, ENABLED)
    assert line.says() == b""
    assert request.stage is Stage.WITHDRAWN


@pytest.mark.parametrize("written", ["450.00", "0", "65535"])
def test_an_amount_that_is_none_is_denied_at_once(line, written):
    line.hears(f"c,STATUS,VEND,{written},1")
    assert line.reader.request is None
    assert line.says() == b"C,STOP\n"
    assert line.says() == b""


@pytest.mark.parametrize("off", ["c,0", "c,STATUS,OFFLINE", IS_OFF])
def test_a_request_ends_with_a_reader_that_is_switched_off_and_it_is_set_up_again(line, off):
    line.hears(ASKED)
    request = line.reader.request
    line.hears(off)
    assert line.reader.request is None
    assert request.stage is Stage.WITHDRAWN
    assert not line.reader.alive
    line.now += 2.1
    assert SET_UP in line.says()
    line.hears("c,STATUS,ONLINE")
    assert line.reader.alive
    assert line.reader.request is None


# --- settings ---------------------------------------------------------------------------------------------------------


def test_zeros_behind_the_point_are_an_amount_and_said_back_as_written_once_the_decimals_were_taken(line):
    line.hears(*[TAKEN] * 4, "c,STATUS,VEND,450.00,5")
    request = line.reader.request
    assert request.amount == 450
    request.approve("DK-1-1")
    assert line.says() == b"C,VEND,450.00\n"


@pytest.mark.parametrize("taken", [[], [TAKEN] * 3, [IS_ON] * 4])
def test_zeros_behind_the_point_may_be_hundredths_where_the_decimals_were_not_taken(line, taken):
    """400 yen of a machine that counts in yen are `4.00` of an adapter that still writes two decimals."""
    line.hears(*taken, "c,STATUS,VEND,4.00,5")
    assert line.reader.request is None
    assert line.says() == b"C,STOP\n"


@pytest.mark.parametrize("written", ["450.50", "450.01", "450.0000", "4.5", "0.00", "450."])
def test_a_real_fraction_is_no_amount_whatever_was_taken(line, written):
    line.hears(*[TAKEN] * 4, f"c,STATUS,VEND,{written},5")
    assert line.reader.request is None


def test_settings_of_two_set_ups_are_not_added_up():
    line = Line(opened=False)
    line.reader.opened(line.now)
    line.says()
    line.hears(TAKEN, TAKEN)
    line.now += 2.1
    assert SET_UP in line.says()
    line.hears(TAKEN, TAKEN, "c,1", "c,STATUS,VEND,450.00,5")
    assert line.reader.request is None


def test_settings_that_are_not_taken_are_told_once_with_what_to_do(line, caplog):
    line.hears(*[IS_ON] * 5, "c,STATUS,VEND,450,5", IDLE, *[IS_ON] * 5)
    (told,) = [one.getMessage() for one in caplog.records if one.levelname == "WARNING"]
    assert "settings not taken: the adapter was on already" in told
    assert "take its power away" in told


def test_an_adapter_that_took_them_before_still_has_them(line, caplog):
    line.hears(*[TAKEN] * 4, *[IS_ON] * 5, "c,STATUS,VEND,450.00,5")
    assert line.reader.request.amount == 450
    assert caplog.records == []


def test_one_that_says_only_that_it_is_on_plays_our_reader():
    line = Line(opened=False)
    line.reader.opened(line.now)
    line.says()
    line.hears("v,4.0.2.0,1", *[IS_ON] * 5)
    assert line.reader.alive
    assert line.says() == b""


# --- what becomes of an approval --------------------------------------------------------------------------------------


def test_an_approval_is_said_once_and_is_no_sale(line):
    request = line.approved()
    assert request.stage is Stage.APPROVED
    for _ in range(5):
        line.now += 0.1
        assert line.says() == b""
    line.hears(ACK)
    assert request.stage is Stage.APPROVED


@pytest.mark.parametrize("lines", [(ACK, SUCCESS, IDLE, ENABLED, ACK), (SUCCESS,), (ACK, IDLE, ENABLED, SUCCESS)])
def test_it_is_a_sale_when_the_machine_says_success_early_or_late(line, lines):
    request = line.approved()
    line.hears(*lines)
    assert request.stage is Stage.SOLD
    assert line.reader.request is None


def test_a_vend_failure_is_certainly_no_sale(line):
    request = line.approved()
    line.hears(ACK, FAILURE, IDLE, ENABLED)
    assert request.stage is Stage.FAILED


def test_a_reset_once_the_machine_has_the_approval_is_a_sale(line):
    request = line.approved()
    line.hears(ACK, INACTIVE)
    assert request.stage is Stage.RESET
    assert "shall be interpreted as a VEND SUCCESS" in request.words


def test_a_reset_before_the_machine_has_it_says_nothing(line):
    request = line.approved()
    line.hears(INACTIVE, ACK, "c,STATUS,DISABLED", ENABLED)
    assert request.stage is Stage.UNCLEAR


def test_where_the_adapter_writes_no_acknowledgements_every_reset_after_an_approval_counts():
    line = Line(Manner("1", Amounts(), acknowledging=False))
    request = line.approved()
    line.hears(INACTIVE)
    assert request.stage is Stage.RESET


def test_an_end_without_a_word_about_it_stays_unclear(line):
    request = line.approved()
    line.hears(ACK, IDLE, ENABLED, INACTIVE)
    assert request.stage is Stage.UNCLEAR
    assert not request.decided


@pytest.mark.parametrize("number", [-1, -3])
@pytest.mark.parametrize(
    "before", [(ACK, IDLE, ENABLED), (IDLE, ENABLED), (CANCELLED,), (CANCELLED, IDLE), (ACK, RESET)]
)
def test_cancel_first_then_approval_is_certainly_no_sale(line, number, before):
    """The wire: the machine cancels, our approval is on its way, the adapter finds nothing to approve."""
    if RESET in before:
        line = Line(Manner("1", Amounts()))
        before = (RESET,)
    request = line.approved()
    line.hears(*before, f'c,ERR,"VEND {number}"')
    assert request.stage is Stage.LATE


def test_a_cancel_that_is_told_after_the_approval_had_left_proves_nothing_by_itself(line):
    request = line.approved()
    line.hears(CANCELLED, IDLE, ENABLED)
    assert request.stage is Stage.UNCLEAR


def test_an_approval_of_which_the_adapter_could_make_nothing_is_certainly_no_sale_and_the_machine_is_told(line):
    request = line.approved()
    line.hears(NOT_TAKEN)
    assert request.stage is Stage.NOT_TAKEN
    assert line.reader.request is None
    assert line.says() == b"C,STOP\n"
    line.hears(SUCCESS)
    assert request.stage is Stage.NOT_TAKEN


@pytest.mark.parametrize("lines", [(ACK, NOT_TAKEN), (INACTIVE, NOT_TAKEN, ACK)])
def test_nor_is_that_believed_once_the_machine_may_have_it(line, lines):
    request = line.approved()
    line.hears(lines[0])
    assert request.stage is not Stage.NOT_TAKEN
    line.hears(*lines[1:])
    assert request.stage in (Stage.UNCLEAR, Stage.LATE)
    assert b"C,STOP" not in line.says()


@pytest.mark.parametrize("told", [(ACK, RESET), (ACK, RESET, INACTIVE), (ACK, RESET, "c,STATUS,DISABLED", ENABLED)])
def test_a_reset_that_the_adapter_tells_by_number_is_one_like_any_other(line, told):
    request = line.approved()
    line.hears(*told)
    assert request.stage is Stage.RESET


def test_and_says_nothing_before_the_machine_has_the_approval(line):
    request = line.approved()
    line.hears(RESET, ACK, INACTIVE, "c,STATUS,DISABLED", ENABLED)
    assert request.stage is Stage.UNCLEAR


@pytest.mark.parametrize("off", ["c,0", "c,STATUS,OFFLINE", IS_OFF])
def test_a_reader_that_is_switched_off_after_the_approval_leaves_a_doubt(line, off):
    request = line.approved()
    line.hears(ACK, off, "c,1", INACTIVE)
    assert request.stage is Stage.UNCLEAR


@pytest.mark.parametrize("lines", [(NO_VEND,), (NO_VEND, IDLE, ENABLED), ('c,ERR,"VEND 7"', IDLE)])
def test_a_complaint_that_fits_nothing_else_proves_nothing(line, lines):
    request = line.approved()
    line.hears(*lines)
    assert request.stage is Stage.UNCLEAR
    assert line.reader.request is None


def test_approval_first_then_cancel_is_what_the_machine_says_it_is(line):
    request = line.approved()
    line.hears(ACK, IDLE, ENABLED)
    assert request.stage is Stage.UNCLEAR
    line.hears(SUCCESS)
    assert request.stage is Stage.SOLD


def test_news_after_the_machine_asked_anew_is_not_about_the_old_request(line):
    old = line.approved()
    line.hears(ASKED)
    assert (old.stage, old.decided) == (Stage.UNCLEAR, True)
    for news in (SUCCESS, FAILURE, NO_VEND, NOT_TAKEN):
        line.hears(news)
        assert old.stage is Stage.UNCLEAR
    assert line.reader.request.stage is Stage.ASKED


@pytest.mark.parametrize("news", [SUCCESS, FAILURE, NO_VEND, NOT_TAKEN])
def test_nor_is_it_where_what_it_asked_for_anew_is_denied(line, news):
    old = line.approved()
    line.hears("c,STATUS,VEND,450.50,1", news)
    assert old.stage is Stage.UNCLEAR


@pytest.mark.parametrize("news", [SUCCESS, FAILURE, NO_VEND, NOT_TAKEN, ACK])
def test_news_about_nothing_of_ours_changes_nothing(line, news):
    line.hears(news)
    line.hears(ASKED, news)
    assert line.reader.request.stage is Stage.ASKED


# --- the line breaks --------------------------------------------------------------------------------------------------


def test_what_was_asked_for_is_forgotten_with_the_line(line):
    line.hears(ASKED)
    request = line.reader.request
    line.reader.lost(line.now, certain=False)
    assert request.stage is Stage.WITHDRAWN
    line.open()
    assert line.reader.request is None


def test_an_approval_that_was_not_said_yet_is_certainly_unsent(line):
    line.hears(ASKED)
    request = line.reader.request
    request.approve("DK-1-1")
    line.reader.lost(line.now, certain=False)
    assert request.stage is Stage.UNSENT
    line.open()
    assert line.says() == b""


@pytest.mark.parametrize(("certain", "stage"), [(True, Stage.UNSENT), (False, Stage.UNCLEAR)])
def test_one_that_was_being_said_is_unsent_only_if_no_byte_left(line, certain, stage):
    line.hears(ASKED)
    request = line.reader.request
    request.approve("DK-1-1")
    assert line.says(leaves=False) == b"C,VEND,450\n"
    line.reader.lost(line.now, certain=certain)
    assert request.stage is stage


@pytest.mark.parametrize("certain", [True, False])
def test_one_that_had_left_stays_open_to_late_news(line, certain):
    request = line.approved()
    line.reader.lost(line.now, certain=certain)
    assert request.stage is Stage.UNCLEAR
    line.open()
    line.hears(SUCCESS)
    assert request.stage is Stage.SOLD


def test_a_restarted_adapter_is_no_reset_of_the_machine(line):
    """It says INACTIVE because it was just switched on; the machine may never have had the approval."""
    request = line.approved()
    line.hears(ACK)
    line.reader.lost(line.now, certain=False)
    line.reader.opened(line.now)
    line.says()
    line.hears("c,1", INACTIVE)
    assert request.stage is Stage.UNCLEAR


def test_one_that_was_restarted_behind_an_unbroken_line_is_none_either(line):
    request = line.approved()
    line.hears(ACK)
    for _ in range(3):
        line.now += 1.1
        line.says()
    line.hears("c,1", INACTIVE)
    assert request.stage is Stage.UNCLEAR


def test_what_was_asked_for_before_the_port_was_given_back_is_forgotten_too(line):
    line.hears(ASKED)
    request = line.reader.request
    line.reader.opened(line.now)
    line.hears("c,1")
    assert line.reader.request is None
    assert request.stage is Stage.WITHDRAWN


def test_half_a_line_from_before_is_not_joined_to_what_comes_after(line):
    line.reader.receive(b"c,STATUS,VEND,4", line.now)
    line.reader.lost(line.now, certain=False)
    line.open()
    line.reader.receive(b"50,1\n", line.now)
    assert line.reader.request is None


# --- sessions that we begin -------------------------------------------------------------------------------------------


def test_where_we_begin_a_session_is_offered_whenever_the_machine_enables_us():
    line = Line(Manner("1", Amounts(2), credit=Yen(500)))
    assert line.says() == b"C,START,500.00\n"
    assert line.says() == b""
    line.now += 0.9
    assert line.says() == b""
    line.now += 0.2
    line.hears('c,ERR,"START -3"')
    assert line.says() == b"C,START,500.00\n"
    line.hears("c,STATUS,IDLE,500.00", "c,STATUS,VEND,450.00,1")
    line.now += 0.9
    assert line.says() == b""
    line.hears(IDLE, ENABLED)
    assert line.says() == b"C,START,500.00\n"


def test_a_session_of_which_nothing_was_heard_for_long_is_tried_anew():
    """The last words about it may have been lost; without one the machine could never ask again."""
    line = Line(Manner("1", Amounts(), credit=Yen(500)))
    line.says()
    line.hears("c,STATUS,IDLE,500", ASKED)
    request = line.reader.request
    for _ in range(7):
        line.now += 1.0
        assert b"START" not in line.says()
        line.hears("v,4.0.2.0,1")
    line.now += 1.1
    assert line.says() == b"V\nC,START,500\n"
    line.hears('c,ERR,"START -3"')
    assert request.stage is Stage.ASKED
    line.hears("c,STATUS,IDLE,500")
    assert request.stage is Stage.WITHDRAWN


# --- memory -----------------------------------------------------------------------------------------------------------


def test_it_remembers_the_last_requests_only(line):
    for _ in range(3 * REMEMBERED):
        line.hears(ASKED, IDLE)
    assert len(line.reader._requests) == REMEMBERED
