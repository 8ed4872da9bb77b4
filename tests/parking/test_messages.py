"""Messages between programs: what is sent arrives; what is not agreed is refused with its place (wire and desk)."""

import contextlib
import functools
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import inspect

from parking import commands, desk, reports, wire
from parking.errors import BadMessage, Code
from parking.money import MOST
from parking.stay import NameKind, StayRef
from parking.wire import Message, Part, decode, encode


def subclasses(kind: type) -> set[type]:
    found = set(kind.__subclasses__())
    return found.union(*(subclasses(each) for each in found))


MESSAGES = sorted((kind for kind in subclasses(Message) if kind.__module__.startswith("parking.")), key=repr)
NOW = datetime(2026, 4, 1, 3, 0, tzinfo=UTC)
moments = st.datetimes(datetime(2020, 1, 1), datetime(2090, 1, 1)).map(lambda at: at.replace(tzinfo=UTC))  # noqa: DTZ001 - made aware at once
stays = st.builds(StayRef, st.just(NameKind.BAY), st.from_regex(r"[1-9A-Z][A-Z]{0,5}", fullmatch=True))
numbers = st.integers(1, 2**32 - 1)
amounts = st.integers(0, MOST)
st.register_type_strategy(StayRef, stays)


SCALARS: dict[type, st.SearchStrategy[Any]] = {
    inspect.DateTimeType: moments,
    inspect.FloatType: st.floats(allow_nan=False, allow_infinity=False),
    inspect.StrType: st.text(st.characters(exclude_categories=("Cs",)), max_size=10),
    inspect.BoolType: st.booleans(),
    inspect.NoneType: st.none(),
}


@functools.cache
def values(kind: type) -> st.SearchStrategy[Any]:
    """Messages of one kind, made from what msgspec knows of its fields and their bounds."""
    info = inspect.type_info(kind)
    assert isinstance(info, inspect.StructType)
    return st.builds(kind, **{field.name: _of(field.type) for field in info.fields if field.name != "schema"})


def _of(info: inspect.Type) -> st.SearchStrategy[Any]:
    match info:
        case inspect.StructType(cls=cls):
            return values(cls)
        case inspect.DataclassType(cls=cls):
            return st.from_type(cls)
        case inspect.UnionType(types=types):
            return st.one_of(*(_of(each) for each in types))
        case inspect.VarTupleType(item_type=item):
            return st.lists(_of(item), max_size=3).map(tuple)
        case inspect.DictType(key_type=key, value_type=value):
            return st.dictionaries(_of(key), _of(value), max_size=3)
        case inspect.EnumType(cls=cls):
            return st.sampled_from(cls)
        case inspect.IntType(ge=least, le=most):
            return st.integers(-(2**53) if least is None else least, 2**53 if most is None else most)
        case inspect.StrType(pattern=str(pattern)):
            return st.from_regex(pattern, fullmatch=True)
    return SCALARS[type(info)]


def test_every_message_of_wire_and_desk_is_under_test() -> None:
    names = {kind.__name__ for kind in MESSAGES}
    assert {"EnrolRequest", "FeedBatch", "ReportBatch", "Answer", "Snapshot", "Event", "Command", "Problem"} <= names


@pytest.mark.parametrize("kind", MESSAGES, ids=lambda kind: kind.__name__)
@settings(max_examples=25)
@given(data=st.data())
def test_what_is_sent_arrives_unchanged(kind: type[Message], data: st.DataObject) -> None:
    message = data.draw(values(kind))
    assert decode(encode(message), kind) == message
    assert decode(encode(message).decode(), kind) == message


@pytest.mark.parametrize("kind", MESSAGES, ids=lambda kind: kind.__name__)
@settings(max_examples=50)
@given(raw=st.binary(max_size=200) | st.text(max_size=100))
def test_hostile_bytes_end_as_a_bad_message_and_nothing_else(kind: type[Message], raw: bytes | str) -> None:
    with pytest.raises(BadMessage):
        decode(raw, kind)


scalars = st.none() | st.booleans() | st.integers(-5, 2**40) | st.floats(allow_nan=False) | st.text(max_size=5)
trees = st.recursive(scalars, lambda each: st.lists(each, max_size=3) | st.dictionaries(st.text(max_size=5), each))


@given(data=st.data(), value=trees)
def test_a_wrong_field_ends_as_a_bad_message_and_nothing_else(data: st.DataObject, value: object) -> None:
    kind = data.draw(st.sampled_from(MESSAGES))
    body = msgspec.to_builtins(data.draw(values(kind)))
    body[data.draw(st.sampled_from(sorted(body)))] = value
    with contextlib.suppress(BadMessage):
        assert encode(decode(msgspec.json.encode(body), kind))


def refusal(raw: bytes | str, kind: type[Message] = wire.Accepted) -> BadMessage:
    with pytest.raises(BadMessage) as refused:
        decode(raw, kind)
    return refused.value


def test_an_unknown_field_is_named() -> None:
    error = refusal(b'{"schema":1,"server_time":"2026-04-01T00:00:00Z","tip":5}')
    assert error.code is Code.BAD_MESSAGE
    assert "Accepted" in error.detail
    assert "`tip`" in error.detail


def test_a_missing_field_is_named() -> None:
    assert "`server_time`" in refusal(b'{"schema":1}').detail


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"generation": "3"}, "$.generation"),
        ({"generation": 0}, "$.generation"),
        ({"first": True}, "$.first"),
        ({"reports": [{"type": "received", "number": 1, "at": 5}]}, "$.reports[0].at"),
        ({"reports": [{"type": "received", "number": 2**32, "at": "2026-04-01T00:00:00Z"}]}, "$.reports[0].number"),
        ({"reports": [{"type": "vanished"}]}, "$.reports[0].type"),
    ],
)
def test_a_wrong_value_is_told_with_its_path(change: dict[str, Any], place: str) -> None:
    body = {"schema": 1, "generation": 1, "first": 1, "reports": []} | change
    error = refusal(msgspec.json.encode(body), reports.ReportBatch)
    assert error.code is Code.BAD_MESSAGE
    assert f"`{place}`" in error.detail


@pytest.mark.parametrize("schema", ["2", "0", "null"])
def test_another_schema_is_told_before_anything_else(schema: str) -> None:
    error = refusal(f'{{"schema":{schema},"field_of_the_future":1}}')
    assert error.code is Code.WRONG_SCHEMA
    assert error.remedy


def test_a_message_without_a_schema_is_refused() -> None:
    assert refusal(b"{}").code is Code.WRONG_SCHEMA


@pytest.mark.parametrize("at", ["2026-04-01T00:00:00", "2026-04-01", "1766000000"])
def test_a_time_without_its_offset_is_refused(at: str) -> None:
    assert "$.server_time" in refusal(f'{{"schema":1,"server_time":"{at}"}}').detail


def test_a_time_of_another_zone_is_the_same_instant() -> None:
    sent = wire.Accepted(server_time=NOW.astimezone(timezone(timedelta(hours=9))))
    assert decode(encode(sent), wire.Accepted).server_time == NOW


def test_a_name_that_is_not_folded_is_refused_inside_a_message() -> None:
    stay = {"kind": "bay", "name": "007", "entered_at": None}
    body = {"schema": 1, "ask_id": "a", "result": {"type": "found", "stay": stay, "amount": 1, "lines": []}}
    body["result"] |= {"valid_until": "2026-04-01T00:00:00Z"}  # type: ignore[operator] - a plain dict of JSON
    assert refusal(msgspec.json.encode(body), wire.Answer).code is Code.BAD_NAME


@pytest.mark.parametrize("raw", [b"[" * 100_000, b'{"schema":1,"a":' + b"[" * 100_000, b'{"a":' * 100_000])
def test_bottomless_nesting_is_refused(raw: bytes) -> None:
    assert refusal(raw).code is Code.BAD_MESSAGE


def test_a_lone_surrogate_is_refused() -> None:
    assert refusal("\ud800").code is Code.BAD_MESSAGE


def test_messages_cannot_be_altered_after_they_are_made() -> None:
    with pytest.raises(AttributeError):
        wire.Accepted(server_time=NOW).server_time = NOW  # type: ignore[misc] - that is the point


def test_rows_have_the_keys_that_events_replace_them_by() -> None:
    stay = StayRef(NameKind.BAY, "7", NOW)
    row = desk.StayView(lot=1001, stay=stay, state=desk.StayState.PARKED, seen_at=NOW)
    assert row.key == f"1001/{stay.key}"
    exit_ = desk.ExitView(lot=1001, exit="7", kind=desk.ExitKind.PLATE, label={"ja": "7番"})
    assert exit_.key == "1001/7"
    case = desk.CaseView(lot=1001, number=42, stay=stay, amount=1200, phase=desk.CasePhase.RECEIVED, since=NOW)
    assert case.key == "1001/42"
    assert desk.LinkView(link="cloud/1001", kind="cloud", up=True, since=NOW).key == "cloud/1001"


def test_there_is_no_close_command() -> None:
    assert {verb.value for verb in commands.Verb} == {"release", "hold_open", "end_hold", "resolve", "assign"}


def test_parts_are_never_taken_for_messages() -> None:
    assert not any(issubclass(kind, Message) for kind in subclasses(Part))


@pytest.mark.parametrize(
    "kind", [wire.EnrolRequest, wire.Answer, reports.ReportBatch, commands.Command, commands.Redeem, commands.SignIn]
)
def test_no_number_that_comes_in_and_is_looked_up_is_more_than_a_database_holds(kind: type[Message]) -> None:
    for name in ("case", "number", "first", "generation", "entry", "lot"):
        for info in _fields(kind, name):
            assert isinstance(info, inspect.IntType)
            assert info.le is not None, (kind, name)
            assert info.le <= 2**63 - 1


def _fields(kind: type, name: str) -> list[inspect.Type]:
    """All fields of a name in a message and its parts."""
    found: list[inspect.Type] = []
    info = inspect.type_info(kind)
    assert isinstance(info, inspect.StructType)
    for field in info.fields:
        found += [field.type] if field.encode_name == name else []
        inner = getattr(field.type, "item_type", field.type)
        for one in getattr(inner, "types", (inner,)):
            found += _fields(one.cls, name) if isinstance(one, inspect.StructType) else []
    return found
