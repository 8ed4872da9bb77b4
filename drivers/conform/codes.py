"""What the error codes that drivers give mean, in the sheet's languages; the attendants' console says them alike."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from parking.errors import Code

CODES: Final[Mapping[Code, tuple[str, str]]] = MappingProxyType(
    {
        Code.ALREADY_PAID: ("すでに精算済み", "Already paid"),
        Code.BAD_MESSAGE: ("通信内容が不正", "Malformed message"),
        Code.BAD_NAME: ("車室・券番号が不正", "Not a valid bay or ticket"),
        Code.BUG: ("プログラムの不具合", "Program fault"),
        Code.CONFIG: ("設定の誤り", "Configuration error"),
        Code.CONFLICT: ("状態が合わない", "Not possible in this state"),
        Code.CONTRADICTION: ("記録が食い違う", "Records disagree"),
        Code.DEVICE_REFUSED: ("機器が拒否", "The machine refused"),
        Code.DEVICE_UNAVAILABLE: ("機器と通信できない", "The machine does not answer"),
        Code.DISK: ("ディスクに書けない", "Disk cannot be written"),
        Code.EXIT_UNKNOWN: ("該当する出口がない", "No such exit"),
        Code.LINK_DOWN: ("つながらない", "Cannot be reached"),
        Code.NOT_FOUND: ("見つからない", "Not found"),
        Code.NOT_OBSERVED: ("動作を確認できない", "Not seen to act"),
        Code.NO_REPLY: ("応答なし", "No reply"),
        Code.PORT_BUSY: ("ポート使用中", "Port in use"),
        Code.PORT_FORBIDDEN: ("ポートの使用権限なし", "No right to the port"),
        Code.PORT_MISSING: ("ポートがない", "Port missing"),
        Code.STAY_CHANGED: ("別の車に入れ替わった", "Another car is there now"),
        Code.STAY_UNKNOWN: ("該当する入庫がない", "No such stay"),
        Code.UNAUTHORIZED: ("許可されていない接続", "Not authorised"),
        Code.WRONG_AMOUNT: ("金額が一致しない", "Amounts differ"),
    }
)
"""Japanese and English; a code that no driver gives today stands for itself."""
