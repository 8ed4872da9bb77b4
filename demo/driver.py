"""A driver whose phone runs no JavaScript: plain pages and forms, in milliseconds. For tests and benchmarks."""

import re
from urllib.parse import urljoin

import requests

from demo.program import Trouble

_FORM = re.compile(r'<form[^>]*action="([^"]+)"', re.IGNORECASE)
_STAGE = re.compile(r'id="stage"[^>]*class="stage ([a-z_]+)"')
_PROBLEM = re.compile(r'class="(?:alert|problem)[^"]*"[^>]*>(.*?)</', re.DOTALL)


class PlainDriver:
    """One payment by form posts; the attributes follow the pages that were reached, `visited` has every address."""

    def __init__(self, cloud_url: str, code: str) -> None:
        """Stand before the poster of the lot with this code."""
        self._cloud, self._code = cloud_url, code
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.hooks["response"].append(lambda answer, *_, **__: self.visited.append(answer.url))
        self.visited: list[str] = []
        self.quote_url = ""
        self.provider_page = ""

    def ask_fee(self, typed: str, exit_: str = "") -> str:
        """Stage one; returns the page of the quote."""
        page = self._session.post(f"{self._cloud}/l/{self._code}/fee", data={"name": typed, "exit": exit_}, timeout=15)
        if "/q/" not in page.url:
            raise Trouble(f"no fee for {typed}: {page.status_code} {_PROBLEM.findall(page.text)}")
        self.quote_url = page.url
        return page.text

    def go_to_payment(self, *, line_down: bool = False) -> None:
        """Stage two: to the provider's page; with `line_down` although the lot's line is down, as its page warned."""
        page = self._session.post(f"{self.quote_url}/pay", data={"line_down": "yes"} if line_down else None, timeout=15)
        page.raise_for_status()
        self.provider_page = page.url

    def decide(self, decision: str = "approve") -> None:
        """Press a button on the provider's page, but do not wait for what follows."""
        page = self._session.get(self.provider_page, timeout=15)
        action = urljoin(self.provider_page, _FORM.findall(page.text)[0])
        answer = self._session.post(action, data={"press": decision}, timeout=15, allow_redirects=False)
        answer.raise_for_status()

    def pay(self, typed: str, exit_: str = "") -> None:
        """Everything up to the approval."""
        self.ask_fee(typed, exit_)
        self.go_to_payment()
        self.decide()

    def stage(self) -> str:
        """What our status page says now; '' while the cloud cannot be reached."""
        try:
            page = self._session.get(self.quote_url.replace("/q/", "/p/"), timeout=5)
        except requests.ConnectionError:
            return ""
        found = _STAGE.findall(page.text)
        return str(found[0]) if found else ""
