"""The receipt that a phone keeps: a real Chromium whose network is cut, and whose phone is switched to another day."""

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from cloud.views import PaymentStage
from tests.rigs.line import Line

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
SCREEN = {"width": 390, "height": 844}
PICTURES = os.environ.get("DAIKO_PICTURES", "")
KEPT = """async () => (await (await caches.open("receipts-1")).keys()).map(({url}) => new URL(url).pathname)"""

pytestmark = pytest.mark.skipif(not CHROMIUM.exists(), reason=f"{CHROMIUM} is not installed")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as tools:
        made = tools.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        yield made
        made.close()


@pytest.fixture
def line(site) -> Iterator[Line]:
    made = Line(site.url)
    yield made
    made.cut()


@pytest.fixture
def phone(browser: Browser, line: Line) -> Iterator[BrowserContext]:
    context = browser.new_context(viewport=SCREEN, locale="en-GB", base_url=line.url, device_scale_factor=2)
    context.set_default_timeout(8000)
    yield context
    context.close()


@pytest.fixture
def paid(site) -> Callable[..., str]:
    """A payment that is authorized, in a stage."""

    def make(stage: PaymentStage = PaymentStage.RELEASING, **values: object) -> str:
        token = site.quote(**values)
        site.pay(token)
        site.stage(token, stage)
        return str(token)

    return make


def kept(page: Page, *tokens: str) -> None:
    """Wait until the phone has kept these receipts."""
    deadline = time.monotonic() + 8
    while not {f"/p/{token}" for token in tokens} <= set(page.evaluate(KEPT)):
        assert time.monotonic() < deadline, page.evaluate(KEPT)
        page.wait_for_timeout(50)


def picture(page: Page, name: str) -> None:
    if PICTURES:
        page.screenshot(path=f"{PICTURES}/{name}.png", full_page=True)


@pytest.mark.parametrize("how", ["the phone says that it is offline", "the line is dead and nobody says so"])
@pytest.mark.parametrize("language", ["en", "ja"])
def test_a_reload_without_a_connection_shows_the_receipt_its_codes_and_as_of_when(phone, line, paid, how, language):
    token = paid()
    page = phone.new_page()
    page.goto(f"/p/{token}?lang={language}")
    typed = page.locator(".typed").text_content()
    clock = page.locator("#away").text_content()
    kept(page, token)
    expect(page.locator("#away")).to_be_hidden()
    if how.startswith("the phone"):
        phone.set_offline(True)
    line.cut()
    page.reload()
    expect(page.locator("#away")).to_be_visible()
    said = page.locator("#away").inner_text()
    assert ("No connection" if language == "en" else "通信できません") in said
    assert ("read the digits to the intercom" if language == "en" else "インターホンに伝えて") in said
    assert clock is not None
    assert said.split() == clock.split(), "the time is the one at which the server said so"
    expect(page.locator("svg.qr")).to_be_visible()
    expect(page.locator(".typed")).to_be_visible()
    assert page.locator(".typed").text_content() == typed
    assert page.locator(".typed").evaluate("e => getComputedStyle(e).fontWeight") == "700", "with its style sheet"
    for promise in ("opening", "plate is down", "下がりました", "開きます"):
        assert promise not in page.locator("main").inner_text()
    picture(page, f"offline-{language}")


def test_when_the_line_is_back_the_page_catches_up_by_itself(phone, line, paid, site):
    token = paid()
    page = phone.new_page()
    page.goto(f"/p/{token}")
    kept(page, token)
    line.cut()
    page.reload()
    expect(page.locator("#away")).to_be_visible()
    site.stage(token, PaymentStage.DONE)
    page.wait_for_timeout(500)
    expect(page.locator("h1")).to_have_text("Telling the car park")
    line.mend()
    expect(page.locator("h1")).to_have_text("The lock plate is down", timeout=15_000)
    expect(page.locator("#away")).to_be_hidden()
    line.cut()
    page.reload()
    expect(page.locator("h1")).to_have_text("The lock plate is down")
    expect(page.locator("#away")).to_be_visible()
    picture(page, "offline-done-en")


def test_a_page_that_stands_open_says_so_when_the_phone_loses_its_line(phone, line, paid, site):
    token = paid()
    page = phone.new_page()
    page.goto(f"/p/{token}")
    expect(page.locator(".typed")).to_be_hidden()
    phone.set_offline(True)
    expect(page.locator("#away")).to_be_visible()
    expect(page.locator(".typed")).to_be_visible()
    phone.set_offline(False)
    expect(page.locator("#away")).to_be_hidden()
    site.stage(token, PaymentStage.ATTENDANT)
    expect(page.locator("h1")).to_have_text("Show this page to the attendant")


def test_a_network_that_is_back_before_the_way_to_us_does_not_leave_the_page_behind(phone, line, paid, site):
    """The browser says `online` as soon as it has a network; the first try to fetch the page may still fail."""
    token = paid()
    page = phone.new_page()
    page.goto(f"/p/{token}")
    kept(page, token)
    line.cut()
    phone.set_offline(True)
    expect(page.locator("#away")).to_be_visible()
    phone.set_offline(False)
    page.wait_for_timeout(500)
    expect(page.locator("#away")).to_be_visible()
    line.mend()
    expect(page.locator("#away")).to_be_hidden(timeout=15_000)


def test_money_that_went_back_takes_the_codes_off_the_phone(phone, line, paid, site):
    token = paid()
    page = phone.new_page()
    page.goto(f"/p/{token}")
    kept(page, token)
    site.stage(token, PaymentStage.NOT_CHARGED, code="already-paid")
    expect(page.locator("h1")).to_have_text("You were not charged")
    page.wait_for_timeout(300)
    line.cut()
    page.reload()
    expect(page.locator("#away")).to_be_visible()
    expect(page.locator("h1")).to_have_text("You were not charged")
    expect(page.locator(".typed, svg.qr")).to_have_count(0)


def test_the_icon_on_the_home_screen_leads_to_the_last_receipt(phone, line, paid):
    page = phone.new_page()
    page.goto("/p/")
    expect(page.get_by_role("heading", name="Find your car park")).to_be_visible()
    first, second = paid(), paid()
    for token in (first, second):
        page.goto(f"/p/{token}")
        kept(page, token)
    line.cut()
    page.goto("/p/")
    assert page.url.endswith(f"/p/{second}")
    expect(page.locator("#away")).to_be_visible()


def test_at_most_five_receipts_stay_on_the_phone_and_only_the_files_they_need(phone, line, paid):
    page, tokens = phone.new_page(), [paid() for _ in range(7)]
    for token in tokens:
        page.goto(f"/p/{token}")
        kept(page, token)
    page.wait_for_timeout(300)
    names = page.evaluate(KEPT)
    assert {name for name in names if name.startswith("/p/")} == {f"/p/{token}" for token in tokens[2:]}
    assert {name for name in names if not name.startswith("/p/")} <= {
        f"/static/{file}" for file in ("phone.css", "phone.js", "favicon.svg", "manifest.webmanifest")
    }


def test_after_seven_days_nothing_is_left_on_the_phone(phone, line, paid):
    token, other = paid(), paid()
    page = phone.new_page()
    page.goto(f"/p/{token}")
    kept(page, token)
    # what the phone keeps is taken for eight days old: its time is over since yesterday
    page.evaluate(
        """async () => {
          const cache = await caches.open("receipts-1");
          for (const request of await cache.keys()) {
            const answer = await cache.match(request);
            if (!answer.headers.has("Daiko-Keep-Until")) continue;
            const headers = new Headers(answer.headers);
            headers.set("Daiko-Keep-Until", Date.now() - 24 * 3600e3);
            await cache.put(request, new Response(await answer.text(), { headers }));
          }
        }"""
    )
    second = phone.new_page()
    second.goto(f"/p/{other}")
    kept(second, other)
    assert f"/p/{token}" not in second.evaluate(KEPT)


def test_what_was_over_is_not_shown_even_before_it_is_swept(phone, line, paid):
    token = paid()
    page = phone.new_page()
    page.goto(f"/p/{token}")
    kept(page, token)
    page.evaluate(
        """async (path) => {
          const cache = await caches.open("receipts-1"), answer = await cache.match(path);
          const headers = new Headers(answer.headers);
          headers.set("Daiko-Keep-Until", Date.now() - 1000);
          await cache.put(path, new Response(await answer.text(), { headers }));
        }""",
        f"/p/{token}",
    )
    line.cut()
    with pytest.raises(Exception, match="ERR_"):
        page.goto(f"/p/{token}")


def test_the_worker_touches_no_other_page(phone, line, paid, site):
    token, fresh = paid(), site.quote()
    page = phone.new_page()
    page.goto(f"/p/{token}")
    kept(page, token)
    page.goto(f"/q/{fresh}")
    assert page.evaluate("navigator.serviceWorker.controller") is None
    assert not any(name.startswith(("/q/", "/l/")) for name in page.evaluate(KEPT))


def test_a_payment_that_is_unknown_is_forgotten(phone, line, paid, site):
    token = paid()
    page = phone.new_page()
    page.goto(f"/p/{token}")
    kept(page, token)
    gone = site.till.payments.pop(token)
    answer = page.goto(f"/p/{token}")
    assert answer is not None
    assert answer.status == 404
    page.wait_for_timeout(300)
    assert f"/p/{token}" not in page.evaluate(KEPT)
    site.till.payments[token] = gone
