"""What the tools tell an installer, Japanese and English side by side. Errors stay as they are raised."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from drivers.language import Words

TEXTS: Final[Mapping[str, Words]] = MappingProxyType(
    {
        # ports
        "ports.none": Words(
            "シリアルポートもHIDリレーボードもありません。挿してください。ネットワーク上の機器には不要です。",
            "No serial port and no HID relay board found. Plug it in; a machine on the network needs none.",
        ),
        "ports.stable": Words("    設定ファイルにはこちらを  {name}", "    better write  {name}"),
        "ports.held": Words("    使用中  {program}", "    in use by  {program}"),
        "ports.group": Words(
            "    このユーザーには開く権限がありません。次のあとサインインし直します: sudo usermod -aG {group} $USER",
            "    this user may not open it: sudo usermod -aG {group} $USER, then sign in again",
        ),
        "ports.forbidden": Words(
            "    このユーザーには開く権限がありません {remedy}", "    this user may not open it {remedy}"
        ),
        # probe
        "probe.asking": Words(
            "[{at}/{of}] {family} に問い合わせます（最長{seconds:g}秒）: {summary}",
            "[{at}/{of}] asking {family}, for {seconds:g} s at most: {summary}",
        ),
        "probe.listening": Words(
            "[{at}/{of}] {family} の線を聞きます（最長{seconds:g}秒）。今、精算機で支払いを始めてください: {summary}",
            "[{at}/{of}] listening for {family}, for {seconds:g} s at most; begin a payment now: {summary}",
        ),
        "probe.no_answer": Words("{family}: 応答なし（{detail}）", "{family}: no answer ({detail})"),
        "probe.found": Words("{family}: 見つかりました: {identity}", "{family}: {identity}"),
        "probe.options": Words(
            "    必要な項目の全体: drivers/{family}/README.md", "    all its options: drivers/{family}/README.md"
        ),
        "probe.check.serial": Words(
            "何も応答しません。機器の電源、ケーブル、ポート名を確かめてください。"
            "ユニット番号は1、通信速度は9600か19200で調べます。決済端末・硬貨の線は聞くだけなので、調べている間に支払いを始めてください。応答を返さないUSBリレーもあります。",
            "Nothing answered. Check the machine's power, cable and port. Unit 1 is asked, at 9600 and 19200 baud. "
            "Lines of card terminals and coins are only listened to: begin a payment meanwhile. Some USB relay boards "
            "never answer.",
        ),
        "probe.check.socket": Words(
            "何も応答しません。機器の電源、LANケーブル、アドレスとポート番号を確かめてください。"
            "Modbusはユニット番号1で調べます。",
            "Nothing answered. Check the machine's power, network cable, address and port number. Modbus is asked as "
            "unit 1.",
        ),
        "probe.check.hid": Words(
            "リレーボードが応答しません。挿してあるか、開く権限があるかを ports で確かめてください。",
            "No relay board answered. Check with `ports` that it is plugged in and may be opened.",
        ),
        "probe.check.web": Words(
            "管理サーバーが応答しません。サーバーが動いているか、アドレスとポート番号、ファイアウォールを確かめてください。",
            "No management server answered. Check that it runs, the address and port number, and any firewall.",
        ),
        "probe.check.database": Words(
            "データベースに管理サーバーの表がありません。サーバーが動いているか、データベース名・ユーザー・パスワードと、"
            "表の準備（drivers/host_link/README.md）を確かめてください。",
            "The host's tables were not found. Check that the database server runs, the database's name, the user and "
            "password, and that the tables are set up (drivers/host_link/README.md).",
        ),
        "probe.check.path": Words(
            "そこに管理サーバーの表やファイルがありません。パス、共有フォルダーの接続、読み書きの権限を確かめてください。",
            "The host's tables or files were not found there. Check the path, that the share is mounted, and the right "
            "to read and write there.",
        ),
        "probe.check.listen": Words(
            "どの機器も接続してきません。機器側に設定した接続先（このPCのアドレスとポート番号）とファイアウォールを確かめ、"
            "調べている間に支払いを始めてください。",
            "No machine has connected. Check in the machine which address and port of this PC it dials, and the "
            "firewall; begin a payment meanwhile.",
        ),
        # sniff, record
        "line.silent": Words("{seconds:g}秒間、何も聞こえません", "nothing heard for {seconds:g} s"),
        "line.undecoded": Words(
            "{count}バイト届きましたが、{codec} として読めません。--codec raw か、別の --baud で試してください",
            "{count} bytes, none of them {codec}: try --codec raw, or another --baud",
        ),
        "line.unmasked": Words(
            "注意: 記録の中のパスワード・鍵・カード情報は消されません（--codec {named} を指定した場合だけ消します）",
            "Careful: passwords, keys and card data stay readable in the recording: they are not masked "
            "(only --codec {named} blacks them out)",
        ),
        "record.far": Words("{count:,}バイト記録中。Ctrl-C で終了", "{count:,} bytes so far; Ctrl-C ends it"),
        "record.done": Words("{path} に {count:,} バイト記録しました", "{count:,} bytes in {path}"),
        # replay
        "replay.played": Words("{count} バイト再生しました", "{count} bytes played"),
        "replay.warning": Words(
            "{url} に {count} バイトを送ります。以前ゲートを開けた命令は、もう一度ゲートを開けます。"
            "模擬機か試験用のプログラムだけに送ってください。",
            "{count} bytes are about to be sent to {url}. What once opened a gate opens it again: send it to a "
            "simulator or a program under test only.",
        ),
        "replay.both": Words("両側の発言をまとめて送ります。", "It is what both sides said."),
        "replay.sure": Words("送りますか。yes と入力: ", "Send it? Type yes: "),
        "replay.not_sent": Words("何も送っていません。", "Nothing was sent."),
        # sim
        "sim.faults": Words(
            "{family} の障害（DEVICE.障害 または DEVICE.障害=数）:", "{family}, as DEVICE.FAULT or DEVICE.FAULT=N:"
        ),
    }
)

REMARKS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "nothing answered": "何も応答しません",
        "nothing answered; plain boards never do": "何も応答しません。簡易な基板は応答を返しません",
        "nothing that looks like OSDP answered or was heard": "OSDP らしいものは応答せず、聞こえもしません",
        "no machine has said anything; begin a payment at it while this listens": (
            "機器が何も言いません。聞いている間に支払いを始めてください"
        ),
        "nothing that looks like ccTalk was heard; a host that finds no acceptor may have stopped asking": (
            "ccTalk らしいものは聞こえません。投入機が見つからない精算機は、問い合わせをやめていることがあります"
        ),
        "facility and api_key: ask the host's operator": "facility と api_key: サーバーの管理者に確認してください",
        "first management server (host link); it answers, but the key is missing or wrong": (
            "第1管理サーバー。応答しますが、鍵（api_key）がないか、違います"
        ),
        "first management server (host link), its table of stays": "第1管理サーバーの在場表",
        'profile: "input_board" only sees; "relay_board" moves gates, "lock_plate" moves plates': (
            'profile: "input_board" は見るだけ。ゲートのリレーは "relay_board"、ロック板は "lock_plate"'
        ),
    }
)
"""What drivers say to people in fixed words, in Japanese; what is not here is told as it is."""


def remark(text: str, language: str) -> str:
    """A driver's remark in the installer's language, as far as it is known."""
    return REMARKS.get(text, text) if language == "ja" else text
