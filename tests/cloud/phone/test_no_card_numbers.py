"""No card number ever reaches us on purpose; one that is typed into a wrong field is kept nowhere."""

import logging
import re

import httpx

CARDS = ("4111111111111111", "5555555555554444", "378282246310005", "3530111333300000")
"""Test numbers of the card brands: each passes Luhn's check."""


def looks_like_a_card(digits: str) -> bool:
    """Thirteen to nineteen digits that a card's issuer could have given out."""
    doubled = [int(digit) * (1 + at % 2) for at, digit in enumerate(reversed(digits))]
    return digits[0] in "3456" and sum(each - 9 * (each > 9) for each in doubled) % 10 == 0


def cards_in(text: str) -> list[str]:
    """What stands alone and looks like a card's number, grouped or not; our own codes are longer."""
    found = re.findall(r"(?<![\w-])\d(?:[ -]?\d){12,18}(?![\w-])", text)
    return [one for one in found if looks_like_a_card(re.sub(r"\D", "", one))]


def test_the_scan_knows_a_card_from_a_code():
    for card in CARDS:
        assert cards_in(f"name {card} typed")
    assert cards_in("4111 1111 1111 1111")
    assert cards_in("a 1234567 1234567 1234561 b 4111111111111112 x1764000000000") == []


def test_a_card_number_typed_anywhere_is_kept_nowhere(cloud, config, caplog, tmp_path):
    caplog.set_level(logging.DEBUG)
    bridge = cloud.bridge(1001, 1002)
    bridge.car(1001, "7")
    with httpx.Client(base_url=cloud.url, trust_env=False, timeout=10) as phone:
        for lot, card in zip(("WAKABA1", "MNAM12K", "NXSVCH99"), CARDS, strict=False):
            for typed in (card, " ".join(re.findall("....", card))):
                phone.post(f"/l/{lot}/fee", data={"name": typed, "exit": typed})
                phone.get("/", params={"code": typed})
                phone.get(f"/l/{lot}/{typed}")
                phone.get(f"/q/{typed}")
                phone.get(f"/p/{typed}")
                phone.post(f"/webhooks/sandbox?{typed}", content=typed)
    cloud.pay("WAKABA1", "7")
    logging.getLogger("cloud").info("still heard")
    kept = b"".join(path.read_bytes() for path in tmp_path.iterdir() if path.name.startswith("cloud.sqlite3"))
    assert b"WAKABA1" in kept
    assert "still heard" in caplog.text
    # the server's log of requests is switched off (cloud.server); pytest listens to it all the same
    heard = [record for record in caplog.records if record.name.startswith(("cloud", "uvicorn.error"))]
    ours = "\n".join(record.getMessage() for record in heard)
    assert cards_in(kept.decode("latin-1")) == []
    assert [line for line in ours.splitlines() if cards_in(line)] == []
