"""The differences of a day in words, Japanese and English: the name of each kind, and what the witnesses say. Pure."""

from collections import defaultdict
from collections.abc import Mapping
from typing import Final

from cloud.reconcile import Kind
from parking.money import Yen, show

NAMES: Final[Mapping[Kind, tuple[str, str]]] = {
    Kind.PROVIDER_ONLY: ("決済会社にだけある入金", "money that only the provider knows"),
    Kind.NOT_AT_PROVIDER: ("決済会社に記録がない", "unknown to the provider"),
    Kind.PROVIDER_DIFFERS: ("決済会社と台帳の不一致", "provider and ledger differ"),
    Kind.NOT_IN_JOURNAL: ("現場の記録にない", "never seen by the bridge"),
    Kind.JOURNAL_ONLY: ("現場にだけある番号 (偽造の疑い)", "known to the bridge alone (forged?)"),
    Kind.CAPTURED_UNSETTLED: ("請求したが精算されていない", "charged, but not settled"),
    Kind.SETTLED_UNCHARGED: ("出庫したが請求していない (損失)", "settled, but not charged (a loss)"),
    Kind.AMOUNT_DIFFERS: ("金額の不一致", "amounts differ"),
    Kind.STILL_OPEN: ("未確定の決済", "not ended yet"),
    Kind.NOT_BOOKED: ("既存システムの記録にない", "not in the legacy's books"),
    Kind.BOOKED_ONLY: ("既存システムにだけある記録", "in the legacy's books alone"),
    Kind.BOOKED_DIFFERS: ("既存システムの金額と不一致", "the legacy booked another amount"),
    Kind.BOOKS_UNREAD: ("既存システムの記録を読めなかった", "the legacy's books could not be read"),
    Kind.COUNT: ("出口の動作回数が合わない", "an exit moved more or less often than explained"),
    Kind.COUNTER_RESET: (
        "出口のカウンターが戻った (交換・初期化)",
        "an exit's counter went backwards (replaced, reset)",
    ),
    Kind.COUNTER_UNREAD: ("出口のカウンターを読めなかった", "an exit's counter could not be read"),
    Kind.OVERRIDE_UNMATCHED: ("対象車両が未登録の手動開放", "opened by hand, nobody has said for whom"),
    Kind.TOLD_AFTER_CLOSE: ("締めた日の日報が変わった", "a closed day is told otherwise"),
    Kind.NO_REPORT: ("現場からの日報がない", "the bridge has not told of the day"),
}

_SAID: Final[Mapping[Kind, tuple[str, str]]] = {
    Kind.PROVIDER_ONLY: ("決済会社: {state} {amount}、台帳: なし", "provider: {state} {amount}, ledger: nothing"),
    Kind.NOT_AT_PROVIDER: (
        "台帳: {standing} {amount}、決済会社: なし",
        "ledger: {standing} {amount}, provider: nothing",
    ),
    Kind.PROVIDER_DIFFERS: (
        "台帳: {standing} {amount}、決済会社: {state} {stated}",
        "ledger: {standing} {amount}, provider: {state} {stated}",
    ),
    Kind.NOT_IN_JOURNAL: ("台帳: {standing} {amount}、現場: なし", "ledger: {standing} {amount}, journal: nothing"),
    Kind.JOURNAL_ONLY: ("現場: {phase} {amount}、台帳: なし", "journal: {phase} {amount}, ledger: never signed"),
    Kind.CAPTURED_UNSETTLED: ("台帳: {standing}、現場: {phase}", "ledger: {standing}, journal: {phase}"),
    Kind.SETTLED_UNCHARGED: ("台帳: {standing}、現場: {phase} ({by})", "ledger: {standing}, journal: {phase} ({by})"),
    Kind.AMOUNT_DIFFERS: ("台帳: {amount}、現場: {told}", "ledger: {amount}, journal: {told}"),
    Kind.STILL_OPEN: ("台帳: {standing}、現場: {phase}", "ledger: {standing}, journal: {phase}"),
    Kind.NOT_BOOKED: (
        "現場: 精算済み {amount} ({by})、既存システム: {reference} なし",
        "journal: settled {amount} ({by}), legacy: no {reference}",
    ),
    Kind.BOOKED_ONLY: ("現場: {phase}、既存システム: {booked}", "journal: {phase}, legacy: {booked}"),
    Kind.BOOKED_DIFFERS: (
        "現場: {amount}、既存システム: {booked} ({bookings} 件)",
        "journal: {amount}, legacy: {booked} in {bookings} bookings",
    ),
    Kind.BOOKS_UNREAD: ("理由: {trouble}", "because: {trouble}"),
    Kind.COUNT: (
        "カウンター {before} → {after} ({moved} 回)、自動 {by_relay} 回、手動 {by_hand} 回、不明 {unsure} 回",
        "counter {before} → {after} ({moved} times), by the relay {by_relay}, by hand {by_hand}, unknown {unsure}",
    ),
    Kind.COUNTER_RESET: (
        "カウンター {before} → {after}、自動 {by_relay} 回、手動 {by_hand} 回、不明 {unsure} 回",
        "counter {before} → {after}, by the relay {by_relay}, by hand {by_hand}, unknown {unsure}",
    ),
    Kind.COUNTER_UNREAD: ("日の終わりに装置が応答しなかった", "the device did not answer at the day's end"),
    Kind.OVERRIDE_UNMATCHED: ("出口 {exit}、{actor} ({reason})", "exit {exit}, by {actor} ({reason})"),
    Kind.TOLD_AFTER_CLOSE: ("締めた日は変わらない。ここで確認する", "it stays closed; look into it here"),
    Kind.NO_REPORT: ("台帳に決済がある", "the ledger has payments of it"),
}

_MONEY: Final = ("amount", "stated", "told", "booked")
_JAPANESE: Final = {
    "authorized": "与信済み",
    "captured": "請求済み",
    "checking": "確認中",
    "declined": "拒否",
    "expired": "期限切れ",
    "in_doubt": "要確認",
    "late": "期限後",
    "pending": "手続き中",
    "received": "受信済み",
    "refunded": "返金済み",
    "refunding": "返金中",
    "refused": "不成立",
    "relay": "自動",
    "sending": "送信中",
    "settled": "精算済み",
    "unknown": "なし",
    "voided": "取消済み",
}


def said(kind: Kind, facts: Mapping[str, str | int], language: str) -> str:
    """What the witnesses say of a difference, in one line; `language` is ja or en."""
    japanese = language == "ja"
    words = {name: _word(name, value, japanese) for name, value in facts.items()}
    return _SAID[kind][0 if japanese else 1].format_map(defaultdict(lambda: "–", words))


def _word(name: str, value: str | int, japanese: bool) -> str:
    if name in _MONEY:
        return show(Yen(int(value)), "ja" if japanese else "en")
    if name in ("standing", "state", "phase", "by"):
        return _JAPANESE.get(str(value), str(value)) if japanese else str(value).replace("_", " ")
    return str(value)
