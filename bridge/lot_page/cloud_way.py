"""Fetches a page from the cloud on behalf of a phone: unsigned, without cookies, short and bounded.

The bridge's key and its name are never in it: to the cloud this is a phone like any other.
"""

import time
from pathlib import Path
from typing import Final

import requests
import urllib3

from bridge.lot_page.passing import FORM, Passed, Passing
from parking.errors import BadMessage, Code, Environment

CONNECT_SECONDS: Final = 3.0
SILENCE_SECONDS: Final = 5.0
WHOLE_SECONDS: Final = 10.0
MOST_BYTES: Final = 262_144
"""The longest page; the cloud's own goal is 30 kB."""

_CHUNK: Final = 16_384
_Failure = (requests.RequestException, urllib3.exceptions.HTTPError, OSError)


class CloudWay:
    """The way to the cloud for phones. Thread-safe: each request has a connection of its own."""

    def __init__(self, cloud_url: str, ca_file: Path | None) -> None:
        """`cloud_url` has no trailing slash; `ca_file` as in bridge.toml."""
        self._base = cloud_url
        self._verify = str(ca_file) if ca_file else True

    def fetch(self, passing: Passing) -> Passed:
        """The cloud's answer, whatever its status. Raises Environment(LINK_DOWN), BadMessage if it is too long."""
        headers = {"Accept": "text/html, */*", "Accept-Encoding": "identity", "Accept-Language": passing.languages}
        if passing.method == "POST":
            headers["Content-Type"] = FORM
        try:
            with requests.Session() as session:
                session.trust_env = False
                session.verify = self._verify
                response = session.request(
                    passing.method,
                    self._base + passing.path,
                    params=dict(passing.query),
                    data=passing.body if passing.method == "POST" else None,
                    headers=headers,
                    timeout=(CONNECT_SECONDS, SILENCE_SECONDS),
                    allow_redirects=False,
                    stream=True,
                )
                with response:
                    body = _read(response, time.monotonic() + WHOLE_SECONDS)
        except _Failure as error:
            # the library's own words hold the path, and that a token
            kind = type(error).__name__
            raise Environment(Code.LINK_DOWN, f"a phone's page: no answer from the cloud: {kind}") from error
        return Passed(response.status_code, {name.lower(): value for name, value in response.headers.items()}, body)


def _read(response: requests.Response, deadline: float) -> bytes:
    body = bytearray()
    while chunk := response.raw.read1(_CHUNK):
        body += chunk
        if len(body) > MOST_BYTES:
            raise BadMessage(Code.BAD_MESSAGE, f"a phone's page is longer than {MOST_BYTES:,} bytes")
        if time.monotonic() > deadline:
            raise Environment(Code.LINK_DOWN, f"a phone's page took more than {WHOLE_SECONDS:.0f} s")
    return bytes(body)
