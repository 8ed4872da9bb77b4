"""The texts of the wizard that connects a machine, Japanese and English side by side; part of console.texts."""

from collections.abc import Mapping
from typing import Final

CONNECT_TEXTS: Final[Mapping[str, tuple[str, str]]] = {
    "connect.title": ("機器の接続", "Connect a machine"),
    "connect.next": ("次へ(&N)", "&Next"),
    "connect.ask": ("調べる(&N)", "&Ask it"),
    "connect.back": ("戻る(&B)", "&Back"),
    "connect.again": ("もう一度(&B)", "Try &again"),
    "connect.close": ("閉じる(&C)", "&Close"),
    "connect.cancel": ("中止 Esc", "Cancel Esc"),
    # where the machine hangs
    "connect.where": ("どこにつながっていますか", "Where is the machine?"),
    "connect.where_hint": (
        "このパソコンのシリアルポートを選ぶか、ネットワーク上のアドレスを入力します。ポートはまだ開きません。",
        "Choose a serial port of this PC, or type an address on the network. No port is opened yet.",
    ),
    "connect.ports": ("シリアルポート(&S)", "&Serial port"),
    "connect.refresh": ("再検索(&R)", "&Refresh"),
    "connect.looking": ("ポートを調べています…", "Looking for ports…"),
    "connect.column.port": ("ポート", "Port"),
    "connect.column.what": ("アダプター", "Adapter"),
    "connect.column.usb": ("USB番号", "USB numbers"),
    "connect.column.use": ("状態", "State"),
    "connect.use.free": ("空き", "free"),
    "connect.use.held": ("使用中", "in use"),
    "connect.use.bridge": ("ブリッジが使用中", "the bridge has it"),
    "connect.use.forbidden": ("使用権限なし", "no right to it"),
    "connect.network": ("ネットワーク・データベース・フォルダー(&A)", "An &address: network, database or folder"),
    "connect.address": ("アドレス", "Address"),
    "connect.address_hint": (
        "例: 192.168.1.20:502 (TCP)、http://192.168.1.30 (管理サーバ)",
        "such as 192.168.1.20:502 (TCP), http://192.168.1.30 (a server)",
    ),
    "connect.address_kinds": (
        (
            "TCPの機器・シリアルサーバ: 192.168.1.20:502、rfc2217://192.168.1.20:4001\n"
            "このパソコンへ接続してくる機器 (決済端末の線): listen://0.0.0.0:20007\n"
            "管理サーバ: http://192.168.1.30、postgresql://user@192.168.1.30/lot、firebird://user@192.168.1.30/lot、"
            "sqlite:///srv/host/lot.db、folder:///srv/handover"
        ),
        (
            "A machine or serial server on TCP: 192.168.1.20:502, rfc2217://192.168.1.20:4001\n"
            "A machine that dials this PC (card terminal's line): listen://0.0.0.0:20007\n"
            "A management server: http://192.168.1.30, postgresql://user@192.168.1.30/lot, "
            "firebird://user@192.168.1.30/lot, sqlite:///srv/host/lot.db, folder:///srv/handover"
        ),
    ),
    "connect.ready": ("調べる相手: {url}", "To be asked: {url}"),
    "connect.asked": ("調べた相手: {url}", "Asked: {url}"),
    "connect.way.port.none": (
        (
            "シリアルポートがありません。USBアダプターを挿し、ケーブルを確かめて「再検索」を押してください。"
            "ネットワーク上の機器なら、下にアドレスを入力します。"
        ),
        (
            "No serial port was found. Plug the USB adapter in, check its cable, and press Refresh. "
            "For a machine on the network, type its address below."
        ),
    ),
    "connect.way.port.choose": ("ポートを選んでください。", "Choose a port."),
    "connect.way.port.bridge": (
        (
            "このポートは動作中のブリッジが使っているので、調べません。調べるには、担当者がブリッジを止めてから「再検索」を押します。"
            "止めている間は電話決済が使えません。この画面がブリッジを止めることはありません。"
        ),
        (
            "The running bridge uses this port, so it is left alone. To ask here, somebody in charge stops the bridge, "
            "then press Refresh. Phone payments stand still meanwhile. This window never stops the bridge."
        ),
    ),
    "connect.way.port.held": (
        "{program} が使っています。先にそのプログラムを終了し、「再検索」を押してください。",
        "{program} has it open. End that program first, then press Refresh.",
    ),
    "connect.way.port.forbidden": (
        "このユーザーにはポートを開く権限がありません。次を実行し、サインインし直してください:  {command}",
        "This user may not open it. Run this, then sign in to the PC again:  {command}",
    ),
    "connect.way.port.no_group": (
        "このユーザーにはポートを開く権限がありません。パソコンの管理者に権限を付けてもらってください。",
        "This user may not open it. Ask the PC's administrator for the right.",
    ),
    "connect.way.address.empty": ("アドレスを入力してください。", "Type an address."),
    "connect.way.address.signs": (
        "空白や使えない文字が入っているか、長すぎます。",
        "There are blanks or unusable signs in it, or it is too long.",
    ),
    "connect.way.address.scheme": (
        (
            "先頭は socket://、rfc2217://、listen://、http://、https://、postgresql://、firebird://、sqlite://、"
            "folder:// のどれかです。HIDボードは hid://16c0:05df の形です。"
        ),
        (
            "It has to begin with socket://, rfc2217://, listen://, http://, https://, postgresql://, firebird://, "
            "sqlite:// or folder://, or to be like hid://16c0:05df."
        ),
    ),
    "connect.way.address.path": (
        "ファイルかフォルダーの場所が要ります (例: sqlite:///srv/host/lot.db、folder:///srv/in)。空白は %20 です。",
        "It has to name a file or folder (such as sqlite:///srv/host/lot.db, folder:///C:/handover); a blank is %20.",
    ),
    "connect.way.address.database": (
        "末尾に「/」とデータベース名が要ります (例: postgresql://user@192.168.1.30/lot)。",
        "It has to end with a slash and the database's name (such as postgresql://user@192.168.1.30/lot).",
    ),
    "connect.way.address.password": (
        "パスワードはアドレスに書かず、設定ファイルの [device.options] に書きます。",
        "No password in the address: it stands under [device.options] in the lot's profile.",
    ),
    "connect.way.address.host": (
        "機器の名前かIPアドレスが正しくありません (例: 192.168.1.20)。",
        "The machine's name or IP address is not right (such as 192.168.1.20).",
    ),
    "connect.way.address.port": (
        "末尾に「:」とポート番号 1〜65535 が要ります (例: 192.168.1.20:502)。",
        "It has to end with a colon and a port number from 1 to 65535 (such as 192.168.1.20:502).",
    ),
    "connect.way.address.extra": (
        "余分なものがあります。「?」「#」は使えません。ユーザー名とパスが使えるのはデータベースだけです。",
        "There is more than an address: no ? or #; a user name and a path only for databases.",
    ),
    # asking
    "connect.probe": ("何が応答するかを調べます", "Ask what answers there"),
    "connect.safe": (
        "読み取るか、聞くだけです。何も動かさず、設定も変えません。応答しない種類があると、1種類に最長{seconds}秒かかります。",
        (
            "It only reads or listens: nothing moves and no setting changes. A kind that does not answer takes up to "
            "{seconds} s."
        ),
    ),
    "connect.warning": (
        (
            "注意: 他の機器どうしが通信している線では、問い合わせが雑音になります。下で種類を選び、その種類だけを"
            "調べてください。ブリッジが使っている機器には問い合わせないでください。"
        ),
        (
            "Careful: where other machines talk on the line, a question of the wrong kind is noise to them. Choose the "
            "kind below and ask for that one alone. Ask nothing of a machine that the bridge is using."
        ),
    ),
    "connect.kind": ("機器の種類(&K)", "&Kind of machine"),
    "connect.every_kind": ("すべて順に調べる ({count} 種類)", "Each in turn ({count} kinds)"),
    "connect.kind_row": ("{summary} [{family}]", "{summary} [{family}]"),
    "connect.begin": ("「調べる」を押すと始まります。", "It begins when you press Ask it."),
    "connect.starting": ("始めています…", "Starting…"),
    "connect.asking": ("{at}/{of}  {summary}", "{at} of {of}  {summary}"),
    # what answered
    "connect.found": ("見つかりました", "Found"),
    "connect.not_found": ("何も応答しません", "Nothing answered"),
    "connect.is": ("{summary}\n{identity}", "{summary}\n{identity}"),
    "connect.lines": ("設定ファイル用の行(&T)", "&Text for the lot profile"),
    "connect.copy": ("コピー(&O)", "C&opy"),
    "connect.copied": ("コピーしました。", "Copied."),
    "connect.steps": (
        (
            "このあと:\n"
            "1. 駐車場の設定ファイル (lot.toml など) に貼り付けます。機器の名前 id は変更できます。\n"
            "2. {options} を書き加えます。機器の役割 [roles] または出口 [[exit]] も書きます "
            "(docs/lot-profile.md「Options of each family」)。\n"
            "3. 模擬機で、故障時の動きを確かめます:  python -m drivers conform --profile lot.toml\n"
            "4. ブリッジを止め、出口が見える所で、実際に動かして確かめます:  "
            "python -m drivers commission --profile lot.toml"
        ),
        (
            "What comes next:\n"
            "1. Paste it into the lot's profile (lot.toml). The device's name, its id, is yours to change.\n"
            "2. Add {options}, and its part in [roles] or [[exit]] "
            "(docs/lot-profile.md, “Options of each family”).\n"
            "3. Try all that can go wrong, with a simulated lot:  python -m drivers conform --profile lot.toml\n"
            "4. Then for real, with the bridge stopped and the exits in sight:  python -m drivers commission --profile "
            "lot.toml"
        ),
    ),
    "connect.options.modbus_io": (
        "profile (relay_board・lock_plate・input_board) と、出口の channel・入力の位置 (open_base など)",
        "profile (relay_board, lock_plate or input_board), channels, and where the inputs are (open_base …)",
    ),
    "connect.options.host_link": (
        "HTTP なら facility と api_key、データベースなら password または password_file",
        "facility and api_key over HTTP, password or password_file for a database",
    ),
    "connect.options.zvt_terminal": (
        "desk (精算機の番号)、必要なら tid と password",
        "desk (the station's number), where wanted tid and password",
    ),
    "connect.options.mdb_cashless": (
        "desk (精算機の番号)、金額が合わなければ decimals と scale",
        "desk (the station's number), where amounts are off decimals and scale",
    ),
    "connect.options.cctalk_coin": (
        "desk (精算機の番号)、coins または bills (金種の並び)、step_yen",
        "desk (the station's number), coins or bills (in the station's order), step_yen",
    ),
    "connect.options.usb_relay": (
        "relays (リレーの数)、pulse_ms、出口を見る別の機器 (seen_by)",
        "relays (how many), pulse_ms, and which device sees the exit (seen_by)",
    ),
    "connect.options.osdp": (
        "mode、鍵 (scbk または key_file)、リーダーとして働くなら facility と card",
        "mode, the key (scbk or key_file), and as a reader facility and card",
    ),
    "connect.options.other": ("機器の種類ごとの項目", "what that kind of machine needs"),
    "connect.check": (
        (
            "確かめること:\n"
            "・機器の電源、ケーブル、アドレスとポート番号 (ファイルならその場所と権限)\n"
            "・シリアル機器のユニット番号 (通常は1) と通信速度 (9600 または 19200)\n"
            "・決済端末・硬貨の線は聞くだけです。調べている間に、精算機で支払いを始めてください\n"
            "・応答を返さないUSBリレーもあります。その場合は設定ファイルに直接書きます"
        ),
        (
            "What to check:\n"
            "· the machine's power and cable, the address and port number (of a file: its place and your right to it)\n"
            "· on serial lines, that its unit number (usually 1) and speed (9600 or 19200) are usual ones\n"
            "· lines of card terminals and coins are only listened to: begin a payment at the pay station meanwhile\n"
            "· some USB relay boards never answer: write those into the profile by hand"
        ),
    ),
    "connect.told": ("調べた結果 (機器やOSの言葉のまま)", "What was told, word for word"),
    # when a tool gives nothing
    "connect.failure.absent": (
        (
            "このパソコンには機器用の道具 (drivers) が入っていません。ブリッジのあるパソコンで操作卓を開いて行うか、"
            "ここに Daiko のブリッジ部分も入れてください。"
        ),
        (
            "The tools for machines (drivers) are not installed on this PC. Do this in the console on the bridge's own "
            "PC, or install Daiko's bridge part here too."
        ),
    ),
    "connect.failure.not_started": (
        "道具を起動できません。Daiko を入れ直してください。",
        "The tool cannot be started. Install Daiko again.",
    ),
    "connect.failure.timed_out": (
        "時間内に終わらないので中止しました。アダプターを抜き挿ししてから、もう一度試してください。",
        "It did not come to an end in time and was stopped. Unplug the adapter, plug it in again, and try again.",
    ),
    "connect.failure.unreadable": (
        "道具の答えを読めません。Daiko の各部分の版が違います。入れ直してください。",
        "The tool's answer cannot be read: parts of Daiko are of different versions. Install it again.",
    ),
    "connect.failure.refused": ("調べられません。", "It cannot be asked."),
    "connect.failure.broken": ("道具が途中で止まりました。", "The tool broke off."),
    "connect.busy": (
        (
            "ブリッジか別のプログラムが使っています。この画面はそれを止めません。"
            "担当者が止めてから、もう一度試してください。"
        ),
        (
            "The bridge or another program has it open. This window does not stop it; whoever is in charge may, "
            "then try again."
        ),
    ),
}
