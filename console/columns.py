"""What the tables show of stays, cases in doubt and timelines."""

from typing import Final

from console.board import Board
from console.i18n import elapsed
from console.rows import StayRow
from console.selection import TodoRow, entered
from console.tables import Column
from parking.desk import CaseView, StayState, TimelineEntry

IN_DOUBT_MARK: Final = 2


def _state(row: StayRow, board: Board) -> str:
    return board.phrases(f"state.{row.view.state}")


def _state_mark(row: StayRow, _board: Board) -> int:
    return IN_DOUBT_MARK if row.view.state is StayState.IN_DOUBT else 0


def _via(row: StayRow, board: Board) -> str:
    via = row.view.via
    return board.phrases(f"via.{via}") if via in ("phone", "cash") else via or "–"


def _elapsed(row: StayRow, board: Board) -> str:
    return "–" if row.view.state is StayState.GONE else elapsed(entered(row), board.state.bridge_now)


STAYS: Final = (
    Column("name", 144, lambda row, board: board.phrases.stay(row.view.stay.kind, row.shown), sortable=True),
    Column("lot", 176, lambda row, board: board.lot_name(row.view.lot), sortable=True),
    Column("plate", 150, lambda row, _board: row.view.plate or "–", sortable=True),
    Column(
        "entered",
        96,
        lambda row, board: board.moment(entered(row), row.view.lot, seconds=False),
        right=True,
        sortable=True,
    ),
    Column("elapsed", 76, _elapsed, right=True, sortable=True),
    Column("paid", 88, lambda row, board: board.phrases.amount(row.view.paid), right=True, sortable=True),
    Column("state", 128, _state, mark=_state_mark, sortable=True),
    Column("via", 74, _via, sortable=True),
)


def _exit(case: CaseView, board: Board) -> str:
    if not case.exit:
        return "–"
    view = board.state.exits.get(f"{case.lot}/{case.exit}")
    return board.phrases.named(view.label, case.exit) if view else case.exit


CASES: Final = (
    Column("stay", 140, lambda case, board: board.stay(case.lot, case.stay), mark=lambda _case, _board: IN_DOUBT_MARK),
    Column("lot", 176, lambda case, board: board.lot_name(case.lot)),
    Column("exit", 90, _exit),
    Column("amount", 92, lambda case, board: board.phrases.amount(case.amount), right=True),
    Column("since", 96, lambda case, board: board.moment(case.since, case.lot), right=True),
    Column("age", 96, lambda case, board: board.phrases.age(board.state.bridge_now - case.since), right=True),
    Column("cause", 220, lambda case, board: board.phrases.cause(case.code, case.detail)),
)


def _where(row: TodoRow, board: Board) -> str:
    if row.stay is not None:
        return board.stay(row.lot, row.stay)
    view = board.state.exits.get(f"{row.lot}/{row.exit}")
    return board.phrases.named(view.label, row.exit) if view else row.exit or "–"


TODO: Final = (
    Column("todo", 230, lambda row, board: board.phrases.code(row.code), mark=lambda _row, _board: IN_DOUBT_MARK),
    Column("lot", 176, lambda row, board: board.lot_name(row.lot)),
    Column("where", 140, _where),
    Column("since", 96, lambda row, board: board.moment(row.at, row.lot), right=True),
    Column("age", 96, lambda row, board: board.phrases.age(board.state.bridge_now - row.at), right=True),
    Column("detail", 260, lambda row, board: board.phrases.particular(row.detail)),
)


def _detail(entry: tuple[int, TimelineEntry], board: Board) -> str:
    """Particulars such as `OUT1: malfunction: arm stuck`: the parts that are words of ours are translated."""
    return ": ".join(board.phrases.particular(part) for part in entry[1].detail.split(": "))


TIMELINE: Final = (
    Column("at", 96, lambda entry, board: board.moment(entry[1].at, entry[0]), right=True),
    Column("source", 120, lambda entry, board: board.phrases.source(entry[1].source)),
    Column("what", 190, lambda entry, board: board.phrases.happening(entry[1].what)),
    Column("detail", 300, _detail),
)
"""Rows are (lot, entry), because an entry itself does not say in whose time zone it is read."""
