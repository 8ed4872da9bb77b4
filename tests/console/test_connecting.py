"""The wizard's decisions without a window: addresses, what tools say, which tool runs, the lines for the profile."""

import tomllib
from itertools import product
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.address import LONGEST, SCHEMES, address_of
from console.connecting import (
    PROBE_PATIENCE,
    Ask,
    Choose,
    Failed,
    Job,
    Narrow,
    Refresh,
    State,
    Stop,
    Told,
    Turn,
    Type,
    advance,
)
from console.profile_lines import profile_lines
from console.texts import TEXTS
from console.toolbox import Answer, Asking, Failure, FamilyRow, FindingRow, PortRow, Trouble, asking, read
from drivers.base import Finding
from drivers.ports import SerialPort
from drivers.profile import DeviceTable
from drivers.registry import FAMILIES

FREE = PortRow(url="/dev/ttyUSB1", description="FT232R", stable="/dev/serial/by-id/usb-FTDI-if00-port0")
BRIDGE = PortRow(
    url="/dev/ttyUSB0", held_by="bridge (process 812)", by_bridge=True, stable="/dev/serial/by-id/usb-CH340"
)
HELD = PortRow(url="/dev/ttyUSB2", held_by="minicom (process 99)")
FORBIDDEN = PortRow(url="/dev/ttyS0", hint="this user may not open it", group="dialout")
NO_GROUP = PortRow(url="/dev/ttyS1", hint="this user may not open it")
PORTS = (FREE, BRIDGE, HELD, FORBIDDEN, NO_GROUP)
KINDS = (
    FamilyRow(family="modbus_io", summary={"en": "Modbus"}, schemes=("", "socket")),
    FamilyRow(family="host_link", summary={"en": "Host"}, schemes=("http",)),
)
MODBUS = FindingRow(family="modbus_io", answered=True, identity="Modbus TCP, unit 1", hints=('framing = "tcp"',))
SILENT = FindingRow(family="modbus_io", answered=False, identity="nothing answered")


def said(rows: object, code: int = 0) -> Answer:
    return Answer(code, msgspec.json.encode(rows), "")


def after(*events: Any, state: State | None = None) -> State:
    state = state or State()
    for event in events:
        state = advance(state, event)
    return state


def listed(*ports: PortRow) -> State:
    return after(Refresh(), said(KINDS), said(ports or PORTS))


# --- addresses ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "url"),
    [
        ("socket://192.168.1.20:502", "socket://192.168.1.20:502"),
        ("  192.168.1.20:502 ", "socket://192.168.1.20:502"),
        ("１９２．１６８．１．２０：５０２", "socket://192.168.1.20:502"),
        ("SOCKET://192.168.1.20:502", "socket://192.168.1.20:502"),
        ("relay-1.lan:502", "socket://relay-1.lan:502"),
        ("[fe80::1]:502", "socket://[fe80::1]:502"),
        ("http://192.168.1.30", "http://192.168.1.30"),
        ("https://host.example:8443/base", "https://host.example:8443/base"),
        ("rfc2217://10.0.0.5:4001", "rfc2217://10.0.0.5:4001"),
        ("listen://0.0.0.0:22000", "listen://0.0.0.0:22000"),
        ("sqlite:///srv/host/lot.db", "sqlite:///srv/host/lot.db"),
        ("SQLite:///C:/host/lot.db", "sqlite:///C:/host/lot.db"),
        ("folder:///srv/引継ぎ２", "folder:///srv/引継ぎ２"),
        ("folder://server/share/lot", "folder://server/share/lot"),
        ("postgresql://user@10.0.0.9/lot", "postgresql://user@10.0.0.9/lot"),
        ("postgresql://user@10.0.0.9:5433/lot", "postgresql://user@10.0.0.9:5433/lot"),
        ("firebird://user@host.lan//srv/lot.fdb", "firebird://user@host.lan//srv/lot.fdb"),
        ("com3", "COM3"),
        ("COM12", "COM12"),
        ("/dev/ttyUSB0", "/dev/ttyUSB0"),
        ("HID://16c0:05DF", "hid://16c0:05DF"),
        ("hid://16c0:05df/6QHXB", "hid://16c0:05df/6QHXB"),
        ("hid:///dev/hidraw3", "hid:///dev/hidraw3"),
        ("/dev/serial/by-id/usb-FTDI_FT232R-if00-port0", "/dev/serial/by-id/usb-FTDI_FT232R-if00-port0"),
    ],
)
def test_an_address_is_taken_as_it_was_meant(typed, url):
    assert address_of(typed) == (url, "")


@pytest.mark.parametrize(
    ("typed", "problem"),
    [
        ("", "empty"),
        ("   ", "empty"),
        ("socket://a b:1", "signs"),
        ("socket://a:1\x00", "signs"),
        ("socket://" + "a" * LONGEST + ":1", "signs"),
        ("ftp://host:21", "scheme"),
        ("spy:///dev/ttyUSB0", "scheme"),
        ("hid://16c0:5df", "scheme"),
        ("hid:///etc/passwd", "scheme"),
        ("192.168.1:502", "host"),
        ("300.1.1.1:502", "host"),
        ("socket://:502", "host"),
        ("--help:502", "host"),
        ("socket://ho$t:502", "host"),
        ("http://", "host"),
        ("192.168.1.20", "port"),
        ("192.168.1.20:0", "port"),
        ("192.168.1.20:65536", "port"),
        ("192.168.1.20:abc", "port"),
        ("[::1:502", "port"),
        ("socket://192.168.1.20:502/x", "extra"),
        ("socket://192.168.1.20:502?logging=debug", "extra"),
        ("http://user:secret@192.168.1.30", "extra"),
        ("http://192.168.1.30/?q=1", "extra"),
        ("sqlite://", "path"),
        ("folder:///", "path"),
        ("folder://ser$er/share", "path"),
        ("sqlite:///srv/lot.db?mode=ro", "extra"),
        ("folder:///srv/hand over", "signs"),
        ("postgresql://user@10.0.0.9", "database"),
        ("postgresql:///lot", "host"),
        ("firebird://user:secret@10.0.0.9/lot", "password"),
        ("postgresql://user@10.0.0.9:0/lot", "port"),
        ("postgresql://10.0.0.9/lot?sslmode=off", "extra"),
    ],
)
def test_what_is_no_address_is_told_by_its_mistake(typed, problem):
    assert address_of(typed) == ("", problem)
    assert f"connect.way.address.{problem}" in TEXTS


@given(st.text(max_size=40) | st.from_regex(r"[a-z]{2,7}://[^ ]{0,20}:[0-9]{0,6}.{0,5}", fullmatch=True))
def test_no_typed_text_becomes_an_option_or_a_second_word(typed):
    url, problem = address_of(typed)
    assert bool(url) != bool(problem)
    assert not url.startswith("-")
    assert not set(url) & set(" \t\r\n\0")


def test_some_family_speaks_by_every_scheme_that_may_be_typed():
    assert set(SCHEMES) == {scheme for known in FAMILIES.values() for scheme in known.schemes} - {"", "spy"}
    for language in range(2):
        explained = TEXTS["connect.address_kinds"][language] + TEXTS["connect.way.address.scheme"][language]
        assert [scheme for scheme in SCHEMES if f"{scheme}://" not in explained] == []


def test_the_options_of_every_family_are_told_when_it_was_found():
    assert {key.removeprefix("connect.options.") for key in TEXTS if key.startswith("connect.options.")} == {
        *FAMILIES,
        "other",
    }


# --- what the tools say ---------------------------------------------------------------------------------------------


def test_rows_are_read_and_what_a_newer_tool_adds_is_no_matter():
    assert read(said(PORTS), PortRow) == PORTS
    assert read(said([{"url": "COM3", "colour": "blue"}]), PortRow) == (PortRow(url="COM3"),)
    assert read(said([], code=1), PortRow) == ()
    assert read(said([SILENT], code=1), FindingRow) == (SILENT,)


def test_the_rows_are_those_of_the_tools():
    port = SerialPort("COM3", "x", "1a86:7523", "A1", "by-id", "bridge (process 1)", "no", by_bridge=True, group="g")
    (row,) = read(Answer(0, msgspec.json.encode([port]), ""), PortRow)
    assert msgspec.to_builtins(row) == msgspec.to_builtins(port)
    finding = Finding(True, "it", ("a = 1",))
    rows = read(said([{"family": "modbus_io", **msgspec.to_builtins(finding)}]), FindingRow)
    assert rows == (FindingRow(family="modbus_io", answered=True, identity="it", hints=("a = 1",)),)


@pytest.mark.parametrize(
    ("answer", "trouble"),
    [
        (Answer(1, b"", "/usr/bin/python: No module named drivers\n"), Failure.ABSENT),
        (Answer(1, b"", "Traceback\n  x\nModuleNotFoundError: No module named 'serial'\n"), Failure.ABSENT),
        (Answer(1, b"", "Traceback\nZeroDivisionError: division by zero\n"), Failure.BROKEN),
        (Answer(-1, b"[]", ""), Failure.BROKEN),
        (Answer(0, b"", ""), Failure.BROKEN),
        (Answer(3, b"[]", "what"), Failure.BROKEN),
        (Answer(2, b"", "usage: x\npython -m drivers: error: unrecognized arguments: --json\n"), Failure.BROKEN),
        (Answer(0, b"nonsense", ""), Failure.UNREADABLE),
        (Answer(0, b'[{"url": "COM3", "more": ' + b"[" * 100_000, ""), Failure.UNREADABLE),
        (Answer(0, b"{}", ""), Failure.UNREADABLE),
        (Answer(0, b'[{"url": 3}]', ""), Failure.UNREADABLE),
        (Answer(0, b"[{}]", ""), Failure.UNREADABLE),
        (Answer(0, b'[{"url": "\xff"}]', ""), Failure.UNREADABLE),
        (Answer(2, b"", "drivers: [port-busy] COM3: in use — end the other program\n"), Failure.REFUSED),
    ],
)
def test_a_tool_that_gives_nothing_is_told_by_its_reason(answer, trouble):
    found = read(answer, PortRow)
    assert isinstance(found, Trouble)
    assert found.failure is trouble
    assert f"connect.failure.{trouble}" in TEXTS
    assert found.detail.isprintable()


def test_a_refusal_keeps_its_code_and_words_whatever_came_before():
    err = "asking modbus_io 1/5\ndrivers: [port-busy] COM3: in use — end it\n"
    assert read(Answer(2, b"", err), FindingRow) == Trouble(Failure.REFUSED, "port-busy", "COM3: in use — end it")


def test_the_last_word_of_a_broken_tool_is_kept_and_cannot_move_the_cursor():
    found = read(Answer(1, b"", "first\nlast \x1b[2J\nasking modbus_io 1/5\n"), PortRow)
    assert found == Trouble(Failure.BROKEN, detail="last \\x1b[2J")


def test_every_failure_has_words():
    assert {f"connect.failure.{failure}" for failure in Failure} <= set(TEXTS)


@pytest.mark.parametrize("line", ["", "asking", "asking x 1/2 3", "Asking x 1/2", "asking x 1/2000", "asking x a/b"])
def test_other_lines_say_nothing_of_who_is_asked(line):
    assert asking(line) is None
    assert asking("asking modbus_io 1/5\n") == Asking("modbus_io", 1, 5)


@given(st.binary(max_size=200), st.text(max_size=100), st.integers(-1, 3))
def test_hostile_answers_become_rows_or_trouble(out, err, code):
    for kind in (PortRow, FamilyRow, FindingRow):
        assert isinstance(read(Answer(code, out, err), kind), tuple | Trouble)


# --- which tool runs ------------------------------------------------------------------------------------------------


def test_it_first_asks_what_is_known_and_then_which_ports_there_are():
    state = after(Refresh())
    assert (state.job, state.words) == (Job.FAMILIES, ("families", "--json"))
    state = after(said(KINDS), state=state)
    assert (state.job, state.words) == (Job.PORTS, ("ports", "--json"))
    state = after(said(PORTS), state=state)
    assert (state.job, state.words, state.ports, state.families) == (None, (), PORTS, KINDS)
    assert after(Refresh(), state=state).job is Job.PORTS


def test_without_tools_the_ports_are_not_even_looked_for():
    state = after(Refresh(), Answer(1, b"", "No module named drivers"))
    assert (state.job, state.trouble.failure, state.ports) == (None, Failure.ABSENT, None)
    assert after(Refresh(), state=state).job is Job.FAMILIES


@pytest.mark.parametrize(
    ("port", "obstacle"),
    [
        (FREE, ""),
        (BRIDGE, "port.bridge"),
        (HELD, "port.held"),
        (FORBIDDEN, "port.forbidden"),
        (NO_GROUP, "port.no_group"),
    ],
)
def test_a_port_is_asked_only_if_nobody_has_it_and_one_may(port, obstacle):
    names = [Choose(port.url), Type(port.url), *([Type(port.stable)] if port.stable else [])]
    for name in names:
        state = after(name, state=listed())
        assert state.obstacle == obstacle
        assert bool(state.url) is not bool(obstacle)
        assert after(Ask(), state=state).job is (None if obstacle else Job.PROBE)
    assert not obstacle or f"connect.way.{obstacle}" in TEXTS


def test_a_port_is_asked_by_the_name_that_survives_replugging():
    state = after(Choose(FREE.url), Ask(), state=listed())
    assert state.words == ("probe", FREE.stable, "--seconds", "10", "--json")
    assert state.patience == PROBE_PATIENCE


def test_without_ports_it_says_so_and_an_address_may_be_typed():
    state = after(Refresh(), said(KINDS), said([], code=1))
    assert (state.ports, state.obstacle) == ((), "port.none")
    state = after(Type("192.168.1.20:502"), Ask(), state=state)
    assert state.words[1] == "socket://192.168.1.20:502"


def test_the_only_port_is_chosen_by_itself_and_one_of_many_is_not():
    assert listed(FREE).chosen == FREE.url
    assert (listed().chosen, listed().obstacle) == ("", "port.choose")


def test_a_refresh_keeps_the_choice_while_the_port_is_there():
    chosen = after(Choose(FREE.url), Refresh(), state=listed())
    assert after(said(PORTS), state=chosen).chosen == FREE.url
    assert after(said((BRIDGE, HELD)), state=chosen).chosen == ""


def test_only_families_that_could_speak_there_are_offered_and_asked_for():
    state = after(Type("http://192.168.1.30"), state=listed())
    assert [row.family for row in state.fitting] == ["host_link"]
    assert after(Narrow("modbus_io"), state=state).family == ""
    state = after(Narrow("host_link"), Ask(), state=state)
    assert state.words[2:4] == ("--family", "host_link")
    serial = after(Choose(FREE.url), state=listed())
    assert [row.family for row in serial.fitting] == ["modbus_io"]


def test_nothing_is_asked_before_it_is_known_what_can_be_asked_and_who_has_the_ports():
    unlisted = after(Refresh(), said(KINDS), Failed(Failure.TIMED_OUT))
    assert not after(Type(BRIDGE.url), state=unlisted).ready
    assert after(Type("192.168.1.20:502"), state=unlisted).ready
    assert not after(Type("192.168.1.20:502")).ready


def test_progress_is_what_the_probe_told_last():
    state = after(Choose(FREE.url), Ask(), Told("asking modbus_io 1/2"), Told("some warning"), state=listed())
    assert state.asking == Asking("modbus_io", 1, 2)
    assert after(said([MODBUS]), state=state).asking is None


def test_an_answer_is_kept_until_something_else_is_chosen_or_asked():
    state = after(Choose(FREE.url), Ask(), said([SILENT, MODBUS]), state=listed())
    assert (state.found, state.job) == (MODBUS, None)
    assert after(said([SILENT]), state=after(Ask(), state=state)).found is None
    for event in (Choose(HELD.url), Type("x"), Turn(by_address=True), Stop()):
        assert after(event, state=state).findings is None


@pytest.mark.parametrize("failure", Failure)
def test_a_tool_that_fails_leaves_a_reason_and_one_may_ask_again(failure):
    state = after(Choose(FREE.url), Ask(), Failed(failure, "why"), state=listed())
    assert (state.job, state.trouble, state.findings) == (None, Trouble(failure, detail="why"), None)
    assert after(Ask(), state=state).job is Job.PROBE


EVENTS = (
    *(Refresh(), Ask(), Stop(), Told("asking modbus_io 1/2"), Failed(Failure.TIMED_OUT)),
    *(Choose(FREE.url), Choose(BRIDGE.url), Choose("gone"), Type("h:502"), Type("-x"), Type(BRIDGE.stable)),
    *(Turn(by_address=True), Turn(by_address=False), Narrow("modbus_io"), Narrow("host_link"), Narrow("")),
    *(said(KINDS), said([FREE, BRIDGE]), said([], code=1), said([MODBUS]), Answer(1, b"", "No module named drivers")),
)


def test_in_every_order_of_events_what_is_shown_holds_together():
    """All states that these events can lead to, each of them tried in each."""
    seen, new = {repr(State()): State()}, [State()]
    while new:
        state = new.pop()
        for event in EVENTS:
            following = advance(state, event)
            if repr(following) not in seen:
                seen[repr(following)] = following
                new.append(following)
            if state.job is Job.PROBE and following.job is Job.PROBE:
                assert following.words == state.words, event
    assert {state.job for state in seen.values()} == {None, *Job}
    for state in seen.values():
        assert not (state.job and (state.trouble or state.findings is not None))
        assert state.asking is None or state.job is Job.PROBE
        assert state.job is not Job.PROBE or (state.url and (state.port is None or not state.port.held_by))
        assert not state.obstacle or f"connect.way.{state.obstacle}" in TEXTS
        assert bool(state.words) is (state.job is not None)
        assert all(isinstance(word, str) and word for word in state.words)


# --- the lines for the profile --------------------------------------------------------------------------------------


def device_of(lines: str) -> DeviceTable:
    (table,) = tomllib.loads(lines)["device"]
    return msgspec.convert(table, DeviceTable)


def test_hints_become_options_of_a_device_that_a_profile_takes():
    found = msgspec.structs.replace(MODBUS, hints=('framing = "rtu"', "unit = 1", "baud = 9600", "answers = true"))
    device = device_of(profile_lines(found, FREE.stable))
    assert (device.id, device.family, device.url) == ("modbus_io", "modbus_io", FREE.stable)
    assert device.options == {"framing": "rtu", "unit": 1, "baud": 9600, "answers": True}


def test_a_hint_about_the_device_itself_is_no_option_and_one_for_people_is_a_comment():
    hints = ('family = "host_link"', 'url = "http://10.0.0.1:80"', "facility and api_key: ask the host's operator")
    lines = profile_lines(FindingRow(family="host_link", answered=True, hints=hints), "http://10.0.0.1")
    device = device_of(lines)
    assert (device.url, device.options) == ("http://10.0.0.1:80", {})
    assert lines.splitlines()[-1] == "# facility and api_key: ask the host's operator"


@pytest.mark.parametrize(
    "hint", ["a = " + "[" * 10_000, "a = " + "9" * 5_000, "a = 'x'\nb = 1", "a = {b = 1}", "[roles]"]
)
def test_a_hint_that_is_no_plain_value_stays_a_comment(hint):
    lines = profile_lines(FindingRow(family="modbus_io", answered=True, hints=(hint,)), "COM3")
    assert device_of(lines).options == {}


HINT = st.one_of(
    st.text(max_size=30),
    st.from_regex(r'[a-z_]{1,8} = ("[^"\n]{0,8}"|[0-9]{1,6}|true|\[.{0,5}\]|\{.{0,5}\})', fullmatch=True),
    st.sampled_from(["a = 1\nb = 2", "[roles]", "[[exit]]\nid = 1", "a.b = 1", "x = '''\ny'''", '"a\\nb" = 1', "# x"]),
)


@given(st.lists(HINT, max_size=6), st.text(min_size=1, max_size=40), st.sampled_from(sorted(FAMILIES)))
def test_whatever_a_machine_hints_the_lines_are_one_device_and_nothing_else(hints, url, family):
    keys = {hint.partition("=")[0].strip() for hint in hints}
    if len(keys) == len(hints):  # two hints of one key are a family's mistake
        lines = profile_lines(FindingRow(family=family, answered=True, hints=tuple(hints)), url)
        table = tomllib.loads(lines)
        assert set(table) == {"device"}
        assert (len(table["device"]), table["device"][0]["family"]) == (1, family)
        assert all(isinstance(value, str | int | float) for value in table["device"][0].get("options", {}).values())


def test_every_combination_of_who_holds_a_port_and_who_may_open_it_is_either_asked_or_explained():
    for held, ours, hint, group in product(("", "x (process 1)"), (False, True), ("", "no"), ("", "dialout")):
        port = PortRow(url="/dev/ttyX", held_by=held, by_bridge=ours, hint=hint, group=group)
        state = after(Choose(port.url), state=listed(port))
        assert bool(state.url) is (not held and not hint)
        assert state.url or f"connect.way.{state.obstacle}" in TEXTS
