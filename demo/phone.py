"""A driver's phone: a real browser of a phone's size, worked like a person does."""

import contextlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Error, Page, sync_playwright

from demo.program import Trouble

SIZE = {"width": 390, "height": 844}
ARGUMENTS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def find_browser() -> str:
    """The path of an installed Chromium; raises Trouble with the remedy if there is none."""
    for name in BROWSERS:
        if path := shutil.which(name):
            return path
    raise Trouble("no Chromium found; on Debian: apt-get install chromium")


@contextmanager
def browsing(*, visible: bool) -> Iterator[Browser]:
    """A running browser."""
    with sync_playwright() as play:
        browser = play.chromium.launch(
            executable_path=find_browser(), headless=not visible, args=ARGUMENTS, slow_mo=400 if visible else 0
        )
        try:
            yield browser
        finally:
            with contextlib.suppress(Error):  # it may have been ended by the same Ctrl-C
                browser.close()


class Phone:
    """One driver's browser, with its own cookies; `shots` is where screenshots go."""

    def __init__(self, browser: Browser, shots: Path, language: str) -> None:
        """Open an empty page; `language` is what the phone is set to."""
        self._context = browser.new_context(viewport=SIZE, locale=language, device_scale_factor=2)  # type: ignore[arg-type] # a plain dict of the two keys it wants
        self._context.set_default_timeout(15_000)
        self.page: Page = self._context.new_page()
        self._shots = shots

    def scan(self, url: str) -> None:
        """Open what a poster's QR code says."""
        self.page.goto(url)

    def ask_fee(self, typed: str) -> str:
        """Stage one: type bay or ticket; returns the fee as shown."""
        self.page.fill("#name", typed)
        self.page.click("form[action$='/fee'] button[type=submit]")
        self.page.wait_for_url("**/q/*")
        return self.page.inner_text(".amount")

    def go_to_payment(self) -> None:
        """Stage two: on to the provider's page."""
        self.page.click("form[action$='/pay'] button[type=submit]")
        self.page.wait_for_url("**/pay/*")

    def approve(self) -> None:
        """Approve on the provider's page; the provider sends the browser back to our status page."""
        self.page.click("button[value=approve]")
        self.page.wait_for_url("**/p/*")

    def wait_stage(self, stage: str, seconds: float = 30.0) -> str:
        """Wait until the status page shows a stage, live; returns its headline."""
        self.page.wait_for_selector(f"#stage.{stage}", timeout=seconds * 1000)
        return self.page.inner_text("#stage h1")

    def shot(self, name: str) -> None:
        """Keep a picture of the page."""
        self._shots.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=str(self._shots / f"{name}.png"))

    def close(self) -> None:
        """Put the phone away."""
        self._context.close()
