"""Checks an address as a person types it, before any program is asked to go there. Pure."""

import re
from ipaddress import ip_address
from typing import Final
from unicodedata import normalize
from urllib.parse import SplitResult, urlsplit

SCHEMES: Final = ("socket", "http", "https", "rfc2217", "listen", "hid")
LONGEST: Final = 200

_PORT_NAME: Final = re.compile(r"COM[1-9][0-9]{0,2}|/dev/[A-Za-z0-9._/:+-]+", re.IGNORECASE)
_HID: Final = re.compile(r"hid://([0-9a-f]{4}:[0-9a-f]{4}(/[!-~]+)?|/dev/[a-z0-9]+)", re.IGNORECASE)
_HOST: Final = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*")
_WEB: Final = ("http", "https")


def address_of(typed: str) -> tuple[str, str]:
    """The URL that is meant, and "", or "" and the last part of the text's key that says what is wrong.

    Full-width signs count as plain ones, `host:port` means `socket://host:port`, and the name of a serial port is one.
    """
    text = normalize("NFKC", typed).strip()
    if not text:
        return "", "empty"
    if len(text) > LONGEST or not text.isprintable() or " " in text:
        return "", "signs"
    if _PORT_NAME.fullmatch(text):
        return (text.upper() if text[0] in "cC" else text), ""
    if text.lower().startswith("hid:"):
        return ("hid" + text[3:], "") if _HID.fullmatch(text) else ("", "scheme")
    url = text if "://" in text else f"socket://{text}"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return "", "port"
    problem = _problem(parts, port)
    if problem:
        return "", problem
    return parts.scheme + url[len(parts.scheme) :], ""  # in small letters, as the drivers know it


def _problem(parts: SplitResult, port: int | None) -> str:
    if parts.scheme not in SCHEMES:
        return "scheme"
    if not _is_host(parts.hostname or ""):
        return "host"
    if port == 0 or (port is None and parts.scheme not in _WEB):
        return "port"
    extra = parts.query or parts.fragment or "@" in parts.netloc or (parts.path if parts.scheme not in _WEB else "")
    return "extra" if extra else ""


def _is_host(host: str) -> bool:
    if ":" not in host and not re.fullmatch(r"[0-9.]+", host):
        return _HOST.fullmatch(host) is not None
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
