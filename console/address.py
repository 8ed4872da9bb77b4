"""Checks an address as a person types it, before any program is asked to go there. Pure."""

import re
from ipaddress import ip_address
from typing import Final
from unicodedata import normalize
from urllib.parse import SplitResult, urlsplit

_WEB: Final = ("http", "https")
_DATABASES: Final = ("postgresql", "firebird")
_PATHS: Final = ("sqlite", "folder")
SCHEMES: Final = ("socket", "rfc2217", "listen", "hid", *_WEB, *_DATABASES, *_PATHS)
LONGEST: Final = 200

_PORT_NAME: Final = re.compile(r"COM[1-9][0-9]{0,2}|/dev/[A-Za-z0-9._/:+-]+", re.IGNORECASE)
_HID: Final = re.compile(r"hid://([0-9a-f]{4}:[0-9a-f]{4}(/[!-~]+)?|/dev/[a-z0-9]+)", re.IGNORECASE)
_HOST: Final = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*")


def address_of(typed: str) -> tuple[str, str]:
    """The URL that is meant, and "", or "" and the last part of the text's key that says what is wrong.

    Full-width signs count as plain ones, but for those in a path on this PC, which are part of its name. `host:port`
    means `socket://host:port`, and the name of a serial port is one.
    """
    text = typed.strip()
    if not text.lower().startswith(tuple(f"{scheme}://" for scheme in _PATHS)):
        text = normalize("NFKC", text).strip()
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
    if parts.scheme in _PATHS:
        return _path_problem(parts)
    if not _is_host(parts.hostname or ""):
        return "host"
    if port == 0 or (port is None and parts.scheme not in (*_WEB, *_DATABASES)):
        return "port"
    if parts.scheme in _DATABASES:
        return _database_problem(parts)
    extra = parts.query or parts.fragment or "@" in parts.netloc or (parts.path if parts.scheme not in _WEB else "")
    return "extra" if extra else ""


def _path_problem(parts: SplitResult) -> str:
    """A path on this PC, or behind a server's name a share, as Windows has them."""
    if not parts.path.strip("/") or (parts.netloc and not _is_host(parts.netloc)):
        return "path"
    return "extra" if parts.query or parts.fragment else ""


def _database_problem(parts: SplitResult) -> str:
    """A server, perhaps with a user; never a password, which stands in the profile."""
    if parts.password is not None:
        return "password"
    if not parts.path.strip("/"):
        return "database"
    return "extra" if parts.query or parts.fragment else ""


def _is_host(host: str) -> bool:
    if ":" not in host and not re.fullmatch(r"[0-9.]+", host):
        return _HOST.fullmatch(host) is not None
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
