"""Colours and sizes as plain values: a calm grey field on which only the abnormal has colour (ISA-101).

Alarm marks are told apart by shape and digit as well as by colour: square 1, triangle up 2, triangle down 3, circle 4.
The four colours were checked against colour blindness and are used for nothing else.
"""

from typing import Final

FIELD: Final = "#d2d2d2"
PANEL: Final = "#dddddd"
PAPER: Final = "#e8e8e8"
STRIPE: Final = "#e2e2e2"
CHOSEN: Final = "#bcc5cc"
LINE: Final = "#a6a6a6"
DARK: Final = "#4a4a4a"
QUIET: Final = "#555555"
INK: Final = "#1a1a1a"

ALARM: Final = {1: "#c4001a", 2: "#e65c00", 3: "#f2c500", 4: "#8a2ba8"}
ALARM_INK: Final = {1: "#ffffff", 2: "#1a1a1a", 3: "#1a1a1a", 4: "#ffffff"}

FAMILIES: Final = {
    True: ("Yu Gothic UI", "Meiryo UI", "Segoe UI"),
    False: ("Noto Sans CJK JP", "DejaVu Sans", "IPAGothic", "Sans Serif"),
}
"""By whether this is Windows. Named in order, so that digits beside kanji do not change to the kanji's font."""

TARGET: Final = 44
"""Pixels: the smallest edge of what moves a gate, for gloved or hurried fingers."""

HEADER_HEIGHT: Final = 48
STATUS_HEIGHT: Final = 46
NAV_WIDTH: Final = 96
RAIL_WIDTH: Final = 312
