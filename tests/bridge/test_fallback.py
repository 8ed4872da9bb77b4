"""What people did while the journal was dead is kept, and journaled later: in order, with nothing deleted (P8)."""

import threading
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from bridge.fallback import FallbackLog, Line
from parking.commands import Command, Verb
from parking.desk import CommandState, CommandView
from parking.errors import Code, Environment

NOW = datetime(2026, 11, 24, 2, 0, tzinfo=UTC)


def line(name: str, state: CommandState = CommandState.CONFIRMED) -> Line:
    command = Command(command_id=name, lot=1001, verb=Verb.RELEASE, actor="佐藤", reason="malfunction", exit="7")
    return Line(
        command=command,
        view=CommandView(command_id=name, verb="release", state=state, at=NOW, actor="佐藤"),
        intent=b"\x01\x05",
    )


@pytest.fixture
def fallback(tmp_path: Path) -> FallbackLog:
    return FallbackLog(tmp_path)


def test_lines_come_back_in_order_and_the_file_is_set_aside(fallback: FallbackLog, tmp_path: Path) -> None:
    lines = [line("a", CommandState.COMMANDED), line("a"), line("b")]
    for one in lines:
        fallback.append(one)
    kept: list[Line] = []
    assert fallback.bring_in(kept.append, NOW) == 3
    assert kept == lines
    assert not fallback.waiting
    (aside,) = tmp_path.glob("fallback-*.imported.jsonl")
    assert aside.read_bytes().count(b"\n") == 3
    assert fallback.bring_in(kept.append, NOW) == 0


def test_what_the_journal_will_not_take_stays(fallback: FallbackLog) -> None:
    fallback.append(line("a"))
    fallback.append(line("b"))
    kept: list[str] = []

    def keep(one: Line) -> None:
        if one.command.command_id == "b":
            raise Environment(Code.DISK, "full")
        kept.append(one.command.command_id)

    with pytest.raises(Environment):
        fallback.bring_in(keep, NOW)
    assert fallback.waiting
    assert fallback.bring_in(lambda one: kept.append(one.command.command_id), NOW) == 2
    assert kept == ["a", "a", "b"]  # a line may come twice; the journal knows it by its order and state


def test_a_torn_last_line_is_kept_and_stops_nothing(fallback: FallbackLog, tmp_path: Path) -> None:
    fallback.append(line("a"))
    whole = msgspec.json.encode(line("b"))
    with fallback.path.open("ab") as file:
        file.write(whole[: len(whole) // 2])
    kept: list[str] = []
    assert fallback.bring_in(lambda one: kept.append(one.command.command_id), NOW) == 1
    assert kept == ["a"]
    (aside,) = tmp_path.glob("fallback-*.imported.jsonl")
    assert aside.read_bytes().endswith(whole[: len(whole) // 2])


def test_a_folder_that_cannot_be_written_raises_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    FallbackLog(tmp_path / "gone").append(line("a"))
    assert "malfunction" in caplog.text  # at least the program's own log has it


def test_what_is_written_behind_a_torn_line_is_not_torn_with_it(fallback: FallbackLog) -> None:
    with fallback.path.open("wb") as file:
        file.write(msgspec.json.encode(line("a"))[:40])
    fallback.append(line("b"))
    kept: list[str] = []
    assert fallback.bring_in(lambda one: kept.append(one.command.command_id), NOW) == 1
    assert kept == ["b"]


def test_no_gate_waits_for_an_import_and_what_is_ordered_meanwhile_is_imported_too(fallback: FallbackLog) -> None:
    fallback.append(line("a"))
    kept: list[str] = []

    def keep(one: Line) -> None:
        kept.append(one.command.command_id)
        if one.command.command_id == "a":
            ordering = threading.Thread(target=fallback.append, args=(line("b"),))
            ordering.start()
            ordering.join(5)
            assert not ordering.is_alive()

    assert fallback.bring_in(keep, NOW) == 2
    assert kept == ["a", "b"]
    assert not fallback.waiting


def test_orders_that_the_journal_does_not_know_yet_are_known_by_their_ids(fallback: FallbackLog) -> None:
    assert fallback.command_ids() == []
    fallback.append(line("a"))
    fallback.append(line("b"))
    assert fallback.command_ids() == ["a", "b"]
