"""What the lot's page passes on to the cloud, and what it lets back. Pure.

Only the phone's own pages of the lots served here, in the one spelling that they have; never a bridge's path, never a
cookie, never an event stream. What is not on the list is not passed on, whatever it looks like.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

FORM_BYTES: Final = 8192
"""The longest form; as at the cloud itself."""

FORM: Final = "application/x-www-form-urlencoded"
REFRESH: Final = "6"
"""Seconds; event streams are not passed on, so a page that waits for news is fetched anew, as without JavaScript."""

_TOKEN: Final = "[A-Za-z0-9_-]{16,64}"  # noqa: S105  # a pattern
_CLAIM: Final = "[0-9A-HJKMNP-TV-Z]{26}"
_LANGUAGES: Final = ("ja", "en")
_TONGUES: Final = re.compile(r"[A-Za-z0-9,;=.\- *]{1,100}")
_VERSION: Final = re.compile("[0-9a-f]{1,16}")
_KEPT: Final = (
    "content-type", "content-language", "content-security-policy", "referrer-policy", "x-content-type-options",
    "x-frame-options", "permissions-policy", "cache-control", "vary", "retry-after",
)  # fmt: skip
"""Headers of the cloud's answer that come back; a location is looked at by itself."""

_LOOPBACK: Final = ("127.0.0.1", "localhost")


@dataclass(frozen=True, slots=True)
class Passing:
    """A request as it goes to the cloud: a path of the list, and nothing of the phone but its languages."""

    method: str
    path: str
    query: Mapping[str, str]
    languages: str
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Passed:
    """The cloud's answer; header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class PhonePaths:
    """The list, for the lots with these codes."""

    def __init__(self, codes: Collection[str], cloud_url: str) -> None:
        """`cloud_url` has no trailing slash."""
        lot = f"/l/(?:{'|'.join(map(re.escape, sorted(codes)))})"
        shown = f"{lot}(?:/[A-Za-z0-9_-]{{1,16}})?|/q/{_TOKEN}(?:/pay|/claim)?|/p/{_TOKEN}|/c/{_CLAIM}(?:/pay)?"
        pressed = f"{lot}/fee|/q/{_TOKEN}/(?:pay|claim)|/c/{_CLAIM}/pay"
        self._paths = {
            "GET": re.compile(rf"{shown}|/static/[a-z][a-z0-9-]{{0,30}}\.[a-z]{{2,12}}"),
            "POST": re.compile(pressed),
        }
        self._cloud = cloud_url

    def allows(self, method: str, path: str) -> bool:
        """Whether this goes to the cloud; `path` is decoded, without a query."""
        paths = self._paths.get(method)
        return paths is not None and paths.fullmatch(path) is not None

    def passing(self, method: str, path: str, query: Mapping[str, str], languages: str, body: bytes) -> Passing | None:
        """The request as it goes to the cloud, None if it does not."""
        if not self.allows(method, path):
            return None
        kept = {name: value for name, value in query.items() if _harmless(name, value)}
        return Passing(method, path, kept, languages if _TONGUES.fullmatch(languages) else "ja", body)

    def passed(self, path: str, answer: Passed) -> Passed | None:
        """The answer as it goes to the phone; None if it leads where nobody should be led."""
        headers = {name: answer.headers[name] for name in _KEPT if name in answer.headers}
        if "location" in answer.headers:
            where = self._onward(answer.headers["location"])
            if where is None:
                return None
            headers["location"] = where
        if path.startswith("/p/") and b"data-events=" in answer.body:
            headers["refresh"] = REFRESH
        return Passed(answer.status, headers, answer.body)

    def _onward(self, location: str) -> str | None:
        """Pages of the list stay on the way by the lot; all others are reached by the phone's own line."""
        path = location.removeprefix(self._cloud) if location.startswith(self._cloud + "/") else location
        if path.startswith("/") and not path.startswith(("//", "/\\")):
            return path if self.allows("GET", path.partition("?")[0]) else self._cloud + path
        try:
            parts = urlsplit(location)
        except ValueError:
            return None
        safe = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK)
        return location if safe and parts.hostname else None


def _harmless(name: str, value: str) -> bool:
    return (name == "lang" and value in _LANGUAGES) or (name == "v" and _VERSION.fullmatch(value) is not None)
