"""The lot's own pages, in Japanese and English at once: each some 3 kB, one request, no script, no picture. Pure."""

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from html import escape
from typing import Final

from drivers.profile import LotProfile, Text, desks
from parking.desk import CasePhase
from parking.stay import NameKind

NEWS_SECONDS: Final = 4
"""How soon a payment's page that may still change is fetched anew."""

REFERENCE_SIGNS: Final = 24
"""The longest reference: `DK-`, a lot, a number."""

_STYLE: Final = (
    "body{font:1.1rem/1.5 sans-serif;margin:0 auto;max-width:34rem;padding:1rem;color:#16211e;background:#f1f4f3}"
    "h1{font-size:1.4rem}"
    "section{background:#fff;border:1px solid #7d8c87;border-radius:.5rem;padding:1rem;margin:1rem 0}"
    "label,legend{display:block;font-weight:bold}[lang=en]{color:#38443f}p[lang=en]{font-size:1rem}"
    "select,input,button{font:inherit;width:100%;box-sizing:border-box;min-height:3rem;margin:.4rem 0;padding:.4rem}"
    "button{background:#0b5d4e;color:#fff;border:0;border-radius:.4rem;font-weight:bold}"
    "button.second{background:#fff;color:#0b5d4e;border:2px solid #0b5d4e}button [lang=en]{color:inherit}"
)
STYLE_HASH: Final = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
"""For the Content-Security-Policy: this style and no other."""

_SPOTS: Final = {
    NameKind.BAY: ("車室番号", "Bay"),
    NameKind.DESK: ("精算機番号", "Pay station"),
    NameKind.TICKET: ("出口", "Exit"),
    NameKind.PLATE: ("出口", "Exit"),
}


@dataclass(frozen=True, slots=True)
class LotSign:
    """What the page says of a lot. `spots`: its bays, its pay stations, or its exit lanes, with their labels."""

    lot: int
    code: str
    name: Text
    names: NameKind
    spots: tuple[tuple[str, Text], ...]

    @classmethod
    def of(cls, profile: LotProfile) -> "LotSign":
        """As the profile has it."""
        lot = profile.lot
        if lot.names is NameKind.BAY:
            spots = tuple((exit_.bay, exit_.label) for exit_ in profile.exit if exit_.bay)
        elif lot.names is NameKind.DESK:
            spots = tuple((desk, {"ja": desk, "en": desk}) for desk in desks(profile))
        else:
            spots = tuple((exit_.id, exit_.label) for exit_ in profile.exit)
        return cls(lot.id, lot.code, lot.name, lot.names, spots)


class Standing(StrEnum):
    """How a payment stands in the lot, as far as a stranger may know."""

    UNKNOWN = "unknown"
    UNDER_WAY = "under_way"
    SETTLED = "settled"
    NOT_SETTLED = "not_settled"
    LOOKED_AT = "looked_at"

    @classmethod
    def of(cls, phase: CasePhase | None) -> "Standing":
        """Of a case; None: no such case is known here."""
        match phase:
            case None:
                return cls.UNKNOWN
            case CasePhase.SETTLED:
                return cls.SETTLED
            case CasePhase.REFUSED:
                return cls.NOT_SETTLED
            case CasePhase.IN_DOUBT:
                return cls.LOOKED_AT
            case _:
                return cls.UNDER_WAY


_STANDINGS: Final = {
    Standing.UNKNOWN: (
        "この番号の決済は、駐車場にまだ届いていません。お支払い済みの場合は、スマートフォンのコードを係員にお見せください。",
        "This lot has not heard of this payment yet. If you have paid, show the code on your phone to the attendant.",
    ),
    Standing.UNDER_WAY: (
        "お支払いが届きました。精算処理中です。",
        "Your payment has arrived and is being settled.",
    ),
    Standing.SETTLED: (
        "精算が完了しました。",
        "Settled.",
    ),
    Standing.NOT_SETTLED: (
        "精算できませんでした。代金はいただきません。係員にお尋ねください。",
        "Not settled: your money is not taken, or goes back to you. Please ask the attendant.",
    ),
    Standing.LOOKED_AT: (
        "係員が確認しています。もう一度お支払いにならないでください。",
        "A person is looking into it. Please do not pay again.",
    ),
}


def welcome(lots: Sequence[LotSign], cloud_host: str) -> bytes:
    """The first page: which lot, which bay or exit, by which way; and how a payment stands."""
    return _page("駐車場 / Parking", "".join(_lot(lot, cloud_host) for lot in lots) + _ask_standing())


def standing(reference: str, state: Standing) -> bytes:
    """How a payment stands. As long for every state and reference as for any other: its size tells nothing."""
    return _standing(reference, state).ljust(_STANDING_BYTES)


def trouble(ja: str, en: str) -> bytes:
    """Something did not work: what to do instead."""
    return _page("お知らせ / Notice", f'<section><h1>{escape(ja)}</h1><p lang="en">{escape(en)}</p></section>{_back()}')


def news_seconds(state: Standing) -> int:
    """After how long to fetch the page anew; 0: it will not change any more."""
    return 0 if state in (Standing.SETTLED, Standing.NOT_SETTLED) else NEWS_SECONDS


def _lot(lot: LotSign, cloud_host: str) -> str:
    name, english = escape(lot.name.get("ja", "")), escape(lot.name.get("en", ""))
    ja, en = _SPOTS[lot.names]
    options = "".join(f'<option value="{escape(spot)}">{_label(label)}</option>' for spot, label in lot.spots)
    choose = f'<label for="s{lot.lot}">{ja} <span lang="en">{en}</span></label>' if options else ""
    choose += f'<select id="s{lot.lot}" name="spot"><option value="">–</option>{options}</select>' if options else ""
    return (
        f'<section><h1>{name} <span lang="en">{english}</span></h1><form action="/go">'
        f'<input type="hidden" name="lot" value="{escape(lot.code)}">{choose}'
        '<button name="by" value="line">スマートフォンで支払う <span lang="en">Pay by phone</span></button>'
        f'<p>{escape(cloud_host)} が開きます。<span lang="en">Opens {escape(cloud_host)}.</span></p>'
        '<button class="second" name="by" value="lot">通信できないとき <span lang="en">No connection?</span></button>'
        "<p>駐車場の回線で料金と手続きをご案内します。この画面は暗号化されません。</p>"
        '<p lang="en">Shows the fee and what to do by the lot’s own line. These pages are not encrypted.</p>'
        "</form></section>"
    )


def _label(label: Text) -> str:
    ja, en = label.get("ja", ""), label.get("en", "")
    return escape(f"{ja} / {en}" if ja and en and ja != en else ja or en)


def _ask_standing() -> str:
    return (
        '<section><form action="/standing">'
        '<label for="r">精算状況 <span lang="en">How does my payment stand?</span></label>'
        '<p>受付番号 <span lang="en">Reference, as on your phone:</span> DK-1001-42</p>'
        '<input id="r" name="reference" required maxlength="24" autocomplete="off" autocapitalize="characters">'
        '<button class="second">確認する <span lang="en">Look</span></button></form></section>'
    )


def _back() -> str:
    return '<p><a href="/">戻る <span lang="en">Back</span></a></p>'


def _page(title: str, body: str) -> bytes:
    return (
        '<!doctype html><html lang="ja"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1"><meta name="robots" content="noindex">'
        f'<title>{title}</title><link rel="icon" href="data:,"><style>{_STYLE}</style></head>'
        f"<body><main>{body}</main></body></html>\n"
    ).encode()


def _standing(reference: str, state: Standing) -> bytes:
    ja, en = _STANDINGS[state]
    body = f'<section><p>{escape(reference)}</p><h1>{ja}</h1><p lang="en">{en}</p></section>'
    return _page("精算状況 / Payment", body + _back())


_STANDING_BYTES: Final = max(len(_standing("x" * REFERENCE_SIGNS, state)) for state in Standing)
