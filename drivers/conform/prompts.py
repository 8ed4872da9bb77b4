"""What a person at the machine is told and asked, in both languages. `{place}` says which exit or machine is meant."""

from collections.abc import Mapping
from typing import Final

from drivers.conform.subject import Part
from drivers.conform.words import Words

DO: Final[Mapping[str, Mapping[Part, Words]]] = {
    "car": {
        Part.EXIT: Words(
            "{place}。閉じた状態にし、車を出せる状態にしてください。",
            "{place}. See that it is closed, and that a car could leave.",
        ),
        Part.DESK: Words(
            "{place}。精算機に駐車券を入れてください（支払わないでください）。",
            "{place}. Put a ticket into the pay station; do not pay.",
        ),
        Part.HOST: Words(
            "{place}。未精算の駐車券を1枚用意してください。", "{place}. Have a ticket ready that is not paid for."
        ),
    },
    "cash": {
        Part.EXIT: Words(
            "{place}。手動で（鍵や現金で）その出口を開けてください。", "{place}. Open it by hand (key or cash)."
        ),
        Part.DESK: Words("{place}。精算機で現金で支払ってください。", "{place}. Pay in cash at the pay station."),
        Part.HOST: Words("{place}。その駐車券を現金で精算してください。", "{place}. Pay for that ticket in cash."),
    },
    "restart": dict.fromkeys(
        Part,
        Words(
            "{place}。機器の電源を切り、10秒待って入れてください。",
            "{place}. Switch the machine off, wait 10 s, switch it on.",
        ),
    ),
    "cancel": dict.fromkeys(
        Part, Words("{place}。駐車券を取り消して戻してください。", "{place}. Take the ticket back (cancel).")
    ),
    "tidy": {
        Part.EXIT: Words(
            "{place}。車を出し、閉じるまで待ってください。", "{place}. Let the car out and wait until it is closed."
        ),
        Part.DESK: Words("{place}。待ち受け状態に戻してください。", "{place}. Bring the pay station back to idle."),
    },
}
STAND_BY: Final = {
    Part.EXIT: Words(
        "{place}。これから開きます。すべての出口が見える所に立ってください。"
        "Enter を押すと開放を指示します。どれかが開いた瞬間に、もう一度 Enter を押します。よければ Enter: ",
        "{place} will open. Stand where you see all exits. Enter gives the order and opens it; "
        "press Enter again the moment any exit is open. Enter when you are watching: ",
    ),
    Part.DESK: Words(
        "{place}。これから支払いを送ります。精算機を見ていてください。"
        "Enter を押すと送ります。「精算済み」と表示された瞬間に、もう一度 Enter を押します。よければ Enter: ",
        "{place} will be paid. Watch the pay station. Enter gives the order; "
        "press Enter again the moment it says that it is paid. Enter when you are watching: ",
    ),
    Part.HOST: Words(
        "{place}。これから記帳します。管理サーバーの画面を見ていてください。"
        "Enter を押すと指示します。精算済みになったら、もう一度 Enter を押します。よければ Enter: ",
        "{place} will book a payment. Watch the host's screen. Enter gives the order; "
        "press Enter again when it shows the ticket as paid. Enter when you are watching: ",
    ),
}
WATCH: Final = {
    Part.EXIT: Words(
        "{place}。開放を指示しました。開いた瞬間に Enter（10秒たっても開かなければそのまま Enter）: ",
        "{place}: told to open. Watch! Enter the moment an exit is open (or after 10 s if none opens): ",
    ),
    Part.DESK: Words(
        "{place}。支払いを送りました。「精算済み」と表示された瞬間に Enter（10秒たっても変わらなければ Enter）: ",
        "{place}: told. Watch! Enter the moment it says that it is paid (or after 10 s): ",
    ),
    Part.HOST: Words(
        "{place}。記帳を指示しました。精算済みになったら Enter（10秒たっても変わらなければそのまま Enter）: ",
        "{place}: told. Watch! Enter when the screen shows that ticket as paid (or after 10 s): ",
    ),
}
MOVED: Final = Words(
    "{place}。開いたのはどの出口ですか。名前（ID か表示名）をすべて、空白で区切って（なければ Enter）: ",
    "{place}. Which exits have opened? Their ids or labels, with spaces between (Enter for none): ",
)
PAID: Final = Words("{place}。精算済みになりましたか (y/n): ", "{place}. Does it say that it is paid (y/n)? ")
BEFORE: Final = {
    Part.EXIT: Words(
        "{place}。この試験の前: こちらの指示でこれまでに合計何回開きましたか（まだなら 0）: ",
        "{place}. Before this test: how often has it opened by our command so far, in total (0 if never)? ",
    ),
    Part.DESK: Words(
        "{place}。この試験の前: こちらからこれまでに合計何円を受け取りましたか（まだなら 0）: ",
        "{place}. Before this test: how many yen has it taken from us so far, in total (0 if none)? ",
    ),
}
NOW: Final = {
    Part.EXIT: Words(
        "{place}。現在: こちらの指示で合計何回開きましたか（先ほどまでは {before} 回）: ",
        "{place}. Now: how often has it opened by our command, in total (your count before: {before})? ",
    ),
    Part.DESK: Words(
        "{place}。現在: こちらから合計何円を受け取りましたか（先ほどまでは {before} 円）: ",
        "{place}. Now: how many yen has it taken from us, in total (your count before: {before})? ",
    ),
    Part.HOST: Words(
        "{place}。現在: 帳簿に照合番号 {reference} で合計何円が記帳されていますか（先ほどまでは {before} 円）: ",
        "{place}. Now: how many yen do its books show under the reference {reference}, in total "
        "(your count before: {before})? ",
    ),
}
PRICE: Final = Words("{place}。表示されている料金は何円ですか: ", "{place}. How many yen does the machine show? ")
NAME: Final = Words("{place}。駐車券番号（または車室番号）: ", "{place}. The ticket's (or bay's) number: ")
DONE: Final = Words("済んだら Enter: ", "Enter when done: ")
A_NUMBER: Final = Words("数字で答えてください。", "A number, please.")
NOT_LESS: Final = Words("合計なので、{before} より少なくはなりません。", "In total: it cannot be less than {before}.")
YES_OR_NO: Final = Words("y（はい）か n（いいえ）で答えてください。", "Please answer y or n.")
UNKNOWN: Final = Words(
    "「{unknown}」という出口はありません。あるのは: {known}。", "No exit {unknown}. Known are: {known}."
)
