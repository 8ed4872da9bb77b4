"""The lot itself: a person at the machine is told what to do, and asked what moved."""

import time
from collections.abc import Callable, Mapping
from typing import Final

from drivers.conform.subject import Part, Seen, Subject
from drivers.profile import LotProfile

Ask = Callable[[str], str]
"""Shows a text and returns what the person types."""

EN: Final[Mapping[str, Mapping[Part, str]]] = {
    "car": {
        Part.EXIT: "See that the exit (or the lock plate) is closed, and that a car could leave.",
        Part.DESK: "Put a ticket into the pay station; do not pay.",
        Part.HOST: "Have a ticket ready that is not paid for.",
    },
    "cash": {
        Part.EXIT: "Open that exit by hand (key or cash).",
        Part.DESK: "Pay in cash at the pay station.",
        Part.HOST: "Pay for that ticket in cash.",
    },
    "restart": dict.fromkeys(Part, "Switch the machine off, wait 10 s, switch it on."),
    "cancel": dict.fromkeys(Part, "Take the ticket back (cancel)."),
    "tidy": {
        Part.EXIT: "Let the car out and wait until the exit is closed.",
        Part.DESK: "Bring the pay station back to idle.",
    },
}
JA: Final[Mapping[str, Mapping[Part, str]]] = {
    "car": {
        Part.EXIT: "出口（またはロック板）を閉じた状態にし、車を出せる状態にしてください。",
        Part.DESK: "精算機に駐車券を入れてください（支払わないでください）。",
        Part.HOST: "未精算の駐車券を1枚用意してください。",
    },
    "cash": {
        Part.EXIT: "手動で（鍵や現金で）その出口を開けてください。",
        Part.DESK: "精算機で現金で支払ってください。",
        Part.HOST: "その駐車券を現金で精算してください。",
    },
    "restart": dict.fromkeys(Part, "機器の電源を切り、10秒待って入れてください。"),
    "cancel": dict.fromkeys(Part, "駐車券を取り消して戻してください。"),
    "tidy": {
        Part.EXIT: "車を出し、出口が閉じるまで待ってください。",
        Part.DESK: "精算機を待ち受け状態に戻してください。",
    },
}
COUNT: Final = {
    Part.EXIT: {
        "ja": "この試験を始めてから、その出口はこちらの指示で何回開きましたか（0, 1, 2…）: ",
        "en": "How often has that exit opened by our command since this test began (0, 1, 2…)? ",
    },
    Part.DESK: {
        "ja": "この試験を始めてから、精算機はこちらから合計何円を受け取りましたか: ",
        "en": "How many yen has the pay station taken from us since this test began, in total? ",
    },
    Part.HOST: {
        "ja": "管理サーバーの帳簿に、照合番号 {reference} で合計何円が記帳されていますか: ",
        "en": "How many yen do the host's books show under the reference {reference}, in total? ",
    },
}
WATCH: Final = {
    Part.EXIT: {
        "ja": "出口を見ていてください。開いた瞬間に Enter を押してください（10秒たっても開かなければそのまま Enter）: ",
        "en": "Watch the exits. Press Enter the moment one is open (or after 10 s if none opens): ",
    },
    Part.DESK: {
        "ja": "精算機を見ていてください。「精算済み」と表示された瞬間に Enter を押してください: ",
        "en": "Watch the pay station. Press Enter the moment it says that it is paid (or after 10 s): ",
    },
    Part.HOST: {
        "ja": "管理サーバーの画面で、その駐車券が精算済みになったら Enter を押してください: ",
        "en": "Press Enter when the host's screen shows that ticket as paid (or after 10 s): ",
    },
}
MOVED: Final = {
    Part.EXIT: {
        "ja": "開いた出口の名前をすべて、空白で区切って（なければ Enter）: ",
        "en": "Which exits have opened? Their names, with spaces between (Enter for none): ",
    },
    Part.DESK: {"ja": "精算済みになりましたか (y/n): ", "en": "Does it say that it is paid (y/n)? "},
    Part.HOST: {"ja": "精算済みになりましたか (y/n): ", "en": "Does it show it as paid (y/n)? "},
}
PRICE: Final = {"ja": "精算機に表示されている料金は何円ですか: ", "en": "How many yen does the machine show? "}
NAME: Final = {"ja": "駐車券番号（または車室番号）: ", "en": "The ticket's (or bay's) number: "}
DONE: Final = {"ja": "済んだら Enter: ", "en": "Enter when done: "}
NUMBER: Final = {"ja": "数字で答えてください。", "en": "A number, please."}


class Attended:
    """Asks a person; `ask` shows a text and returns the answer."""

    simulated = False

    def __init__(self, profile: LotProfile, ask: Ask, language: str) -> None:
        """`language` is ja or en."""
        self._urls = {device.id: device.url for device in profile.device}
        self._ask, self._language = ask, language
        self._prices: int | None = None

    def url(self, device: str) -> str:
        """As the profile has it."""
        return self._urls[device]

    def car(self, subject: Subject) -> str:
        """Tell the person to bring a customer; asks for the ticket's number where there may be several."""
        self._prices = None
        self._told("car", subject)
        return self._ask(NAME[self._language]).strip() if subject.part is Part.HOST else ""

    def price(self, subject: Subject) -> int:
        """Read off the machine, once for each customer; nothing at an exit."""
        if subject.part is Part.EXIT:
            return 0
        if self._prices is None:
            self._prices = self._number(PRICE[self._language])
        return self._prices

    def taken(self, subject: Subject, reference: str) -> int:
        """What the person saw."""
        return self._number(COUNT[subject.part][self._language].format(reference=reference))

    def watch(self, subject: Subject) -> Seen:
        """By the eyes and the hand of whoever stands there."""
        self._ask(WATCH[subject.part][self._language])
        at = time.monotonic()
        said = self._ask(MOVED[subject.part][self._language]).split()
        if subject.part is not Part.EXIT:
            said = [subject.device.id] if said[:1] in (["y"], ["Y"], ["はい"]) else []
        return Seen(tuple(said), at if said else None)

    def cash(self, subject: Subject, name: str) -> None:
        """Have somebody pay."""
        del name  # the person knows
        self._told("cash", subject)

    def cancel(self, subject: Subject) -> None:
        """Have the ticket taken back."""
        self._told("cancel", subject)

    def restart(self, subject: Subject) -> None:
        """Have it switched off and on."""
        self._told("restart", subject)

    def tidy(self, subject: Subject, name: str) -> None:
        """Have everything put right."""
        del name
        self._told("tidy", subject)

    def _told(self, what: str, subject: Subject) -> None:
        words = JA if self._language == "ja" else EN
        if subject.part in words[what]:
            self._ask(f"{words[what][subject.part]} {DONE[self._language]}")

    def _number(self, text: str) -> int:
        while True:
            said = self._ask(text).strip().replace(",", "")
            if said.isdecimal():
                return int(said)
            text = f"{NUMBER[self._language]} {text}"
