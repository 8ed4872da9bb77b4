"""The driver's phone: a real Chromium at 390 × 844, with JavaScript, position and live status."""

import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, expect, sync_playwright

from cloud.claims import ClaimState
from cloud.pages import HERE
from cloud.views import PaymentStage

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
SCREEN = {"width": 390, "height": 844}
PICTURES = os.environ.get("DAIKO_PICTURES", "")
"""A folder for screenshots, for people who want to look."""

pytestmark = pytest.mark.skipif(not CHROMIUM.exists(), reason=f"{CHROMIUM} is not installed")


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with sync_playwright() as tools:
        browser = tools.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def screen(chromium: Browser, site) -> Iterator[BrowserContext]:
    """A phone without permissions; at its end no page may have broken its policy or raised an error."""
    context = chromium.new_context(viewport=SCREEN, locale="en-GB", base_url=site.url)
    context.set_default_timeout(8000)
    complaints: list[str] = []
    context.on("weberror", lambda error: complaints.append(str(error.error)))
    context.on("console", lambda said: complaints.append(said.text) if _is_defect(said) else None)
    yield context
    context.close()
    assert complaints == []


def _is_defect(said: ConsoleMessage) -> bool:
    # on purpose: an expired fee is a 410, a doubtful one a 409, a provider that is down a 502
    return said.type == "error" and not any(told in said.text for told in ("410 (", "409 (", "502 ("))


def picture(page: Page, name: str) -> None:
    if PICTURES:
        page.screenshot(path=f"{PICTURES}/{name}.png", full_page=True)


@pytest.mark.parametrize("language", ["ja", "en"])
def test_a_driver_scans_pays_and_watches_the_plate_go_down(screen, site, language):
    bay = site.park(name="A16" if language == "en" else "69")
    page = screen.new_page()
    page.goto(f"/l/WAKABA1/{bay}?lang={language}")
    picture(page, f"lot-{language}")
    page.locator("button[type=submit]").click()
    page.wait_for_url("**/q/*")
    expect(page.get_by_role("timer")).to_contain_text("4:5")
    picture(page, f"quote-{language}")
    token = page.url.rpartition("/")[2]
    page.locator("main form button").click()
    page.wait_for_url(f"{site.sandbox.url}/pay/*")
    picture(page, f"sandbox-{language}")
    page.locator("button[value=approve]").click()
    page.wait_for_url(f"**/p/{token}")
    status = page.get_by_role("status")
    expect(status).to_contain_text("駐車場に連絡" if language == "ja" else "Telling the car park")
    page.evaluate("window.untouched = true")
    picture(page, f"releasing-{language}")
    site.stage(token, PaymentStage.DONE)
    expect(status).to_contain_text("ロック板が下がりました" if language == "ja" else "The lock plate is down")
    assert page.evaluate("window.untouched"), "the page changed by itself, without a reload"
    expect(page.locator("svg.qr")).to_be_hidden()
    page.locator("summary").click()
    expect(page.locator("svg.qr")).to_be_visible()
    expect(page.locator("#print")).to_be_visible()
    picture(page, f"done-{language}")


@pytest.fixture
def dark(site, lots):
    """The lot of bays with its line down, where drivers may pay all the same; afterwards as it was."""
    heard = datetime.now(UTC) - timedelta(minutes=62)
    site.till.lots["WAKABA1"] = replace(lots["bays"], online=False, heard_at=heard, pay_offline=True)
    yield
    site.till.lots["WAKABA1"] = lots["bays"]


@pytest.mark.parametrize("language", ["ja", "en"])
def test_a_driver_is_warned_before_he_pays_with_the_line_down_and_then_shows_his_code(screen, site, dark, language):
    bay, japanese = site.park(), language == "ja"
    page = screen.new_page()
    page.goto(f"/l/WAKABA1/{bay}?lang={language}")
    warning = page.locator(".warning.line")
    expect(warning).to_contain_text("係員が読み取る" if japanese else "the attendant here scans or types it")
    picture(page, f"line-down-lot-{language}")
    page.locator("button[type=submit]").click()
    page.wait_for_url("**/q/*")
    expect(warning).to_contain_text("係員がいないときは" if japanese else "If nobody is here")
    picture(page, f"line-down-fee-{language}")
    pay = page.locator("main form button")
    pay.click()
    assert "/q/" in page.url, "nobody pays who has not said that an attendant is there"
    page.locator("input[name=line_down]").check()
    pay.click()
    page.wait_for_url(f"{site.sandbox.url}/pay/*")
    page.locator("button[value=approve]").click()
    page.wait_for_url("**/p/*")
    expect(page.get_by_role("status")).to_contain_text("回線が切れています" if japanese else "lost its connection")
    expect(page.locator("svg.qr")).to_be_visible()
    expect(page.locator(".typed")).to_be_visible()
    picture(page, f"line-down-paid-{language}")


def test_the_page_follows_from_doubt_to_done_after_the_line_was_away(screen, site):
    token = site.quote()
    site.pay(token)
    page = screen.new_page()
    page.goto(f"/p/{token}")
    site.stage(token, PaymentStage.RELEASING)
    expect(page.get_by_role("status")).to_contain_text("Telling the car park")
    site.stage(token, PaymentStage.ATTENDANT, code="no-reply")
    expect(page.get_by_role("status")).to_contain_text("Show this page to the attendant")
    expect(page.locator("svg.qr")).to_be_visible()
    picture(page, "attendant-en")
    site.stage(token, PaymentStage.DONE)
    expect(page.get_by_role("status")).to_contain_text("The lock plate is down")
    expect(page.locator("[data-events]")).to_have_count(0)


def test_not_charged_is_told_live_with_its_reason(screen, site, lots):
    token = site.quote(lots["gated"], "OUT1")
    site.pay(token)
    site.stage(token, PaymentStage.RELEASING)
    page = screen.new_page()
    page.goto(f"/p/{token}?lang=ja")
    site.stage(token, PaymentStage.NOT_CHARGED, code="already-paid")
    expect(page.get_by_role("status")).to_contain_text("請求はありません")
    expect(page.get_by_role("status")).to_contain_text("精算機などでの支払いが先に確認された")
    picture(page, "not-charged-ja")


def test_a_fee_runs_out_before_the_drivers_eyes(screen, site):
    token = site.quote(lease=timedelta(seconds=2))
    page = screen.new_page()
    page.goto(f"/q/{token}")
    expect(page.get_by_role("button", name="Calculate again")).to_be_visible()
    picture(page, "expired-en")
    page.get_by_role("button", name="Calculate again").click()
    page.wait_for_url(lambda url: "/q/" in url and token not in url)
    expect(page.get_by_role("button", name="Pay ¥700")).to_be_visible()


def test_the_phones_position_finds_the_lot(screen, site):
    screen.grant_permissions(["geolocation"])
    screen.set_geolocation({"latitude": 35.6975, "longitude": 139.4140})
    page = screen.new_page()
    page.goto("/")
    picture(page, "find-en")
    page.get_by_role("button", name="Use my position").click()
    page.wait_for_url("**/near?*")
    picture(page, "near-en")
    page.get_by_role("link", name="Minamiguchi").click()
    expect(page.get_by_text("Your position is close to this car park.")).to_be_visible()
    picture(page, "gated-en")


def test_a_position_that_is_refused_leaves_the_code(screen, site):
    page = screen.new_page()
    page.goto("/")
    page.get_by_role("button", name="Use my position").click()
    expect(page.get_by_text("Your position could not be found")).to_be_visible()
    page.get_by_label("Lot code").fill("wakaba1")
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_role("heading", name="Wakaba-cho Lot 1")).to_be_visible()


def test_code_and_position_that_disagree_are_caught_and_must_be_confirmed(screen, site):
    """S5, and a QR sticker from somewhere else: the page asks by itself where position was allowed before."""
    screen.grant_permissions(["geolocation"])
    screen.set_geolocation({"latitude": 35.6971, "longitude": 139.4138})
    bay, page = site.park(), screen.new_page()
    page.goto(f"/l/WAKABA1/{bay}")
    expect(page.get_by_text("You are far from this car park")).to_be_visible()
    picture(page, "far-en")
    page.get_by_role("button", name="Show the fee").click()
    assert "/q/" not in page.url, "the box must be ticked first"
    page.get_by_role("checkbox").check()
    page.get_by_role("button", name="Show the fee").click()
    page.wait_for_url("**/q/*")


def test_digits_first_and_letters_at_a_touch(screen, site):
    page = screen.new_page()
    page.goto("/l/WAKABA1")
    field = page.get_by_label("Bay number")
    expect(field).to_have_attribute("inputmode", "numeric")
    page.get_by_role("button", name="Type letters").click()
    expect(field).to_have_attribute("inputmode", "text")
    expect(field).to_be_focused()


def test_a_second_press_does_not_send_the_form_twice(screen, site):
    token = site.quote()
    page = screen.new_page()
    page.goto(f"/q/{token}")
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url) if request.method == "POST" else None)
    page.get_by_role("button", name="Pay ¥700").dblclick(no_wait_after=True)
    page.wait_for_url(f"{site.sandbox.url}/pay/*")
    assert len(sent) == 1


@pytest.mark.parametrize("path", ["/", "/l/WAKABA1", "/q/{token}", "/p/{token}"])
def test_a_first_view_is_at_most_30_kilobytes_and_5_requests(chromium, site, path):
    token = site.quote()
    site.pay(token)
    site.stage(token, PaymentStage.DONE)
    if path.startswith("/q"):
        token = site.quote()
    context = chromium.new_context(viewport=SCREEN, base_url=site.url)
    page, sizes = context.new_page(), {}
    page.on("response", lambda answer: sizes.update({answer.url: len(answer.body())}))
    page.goto(path.format(token=token), wait_until="networkidle")
    context.close()
    if path.startswith("/p"):  # a worker's own requests are not seen from its page
        sizes["/sw.js"] = len((HERE / "static" / "sw.js").read_bytes())
    assert sum(sizes.values()) <= 30_000, sizes
    assert len(sizes) <= 5, sizes
    assert all(url.startswith((site.url, "/")) for url in sizes), "nothing comes from anywhere else"


@pytest.mark.parametrize("width", [320, 390])
def test_nothing_runs_off_a_narrow_screen_and_all_targets_are_big_enough(chromium, site, lots, width):
    token = site.quote(lots["gated"], "OUT1")
    site.pay(token)
    site.stage(token, PaymentStage.ATTENDANT)
    fresh = site.quote()
    context = chromium.new_context(viewport={"width": width, "height": 700}, base_url=site.url, locale="ja")
    page = context.new_page()
    for path in ("/", "/l/MNAM12K/OUT1", f"/q/{fresh}", f"/p/{token}", "/l/NXSVCH99"):
        page.goto(path)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path
        small = page.evaluate(
            """[...document.querySelectorAll("button, input:not([type=hidden]), a.button, .tongues a, .lots a")]
               .filter(e => e.offsetParent && !e.classList.contains("skip"))
               .map(e => [e.outerHTML.slice(0, 60), e.getBoundingClientRect()])
               .filter(([, box]) => box.width < 24 || box.height < 24).map(([what]) => what)"""
        )
        assert small == [], path
    context.close()


@pytest.fixture
def later(site, lots) -> Iterator[list[str]]:
    """The pages of claims, one in each state."""
    site.till.lots["WAKABA1"], site.till.provider_down = replace(lots["bays"], when_down="claim"), True
    token = site.quote()
    site.run(site.till.claim(token))
    site.till.lots["WAKABA1"], site.till.provider_down = lots["bays"], False
    made = site.till.claims[site.till.payments[token].claim]
    for state in ClaimState:
        site.till.claims[f"C{state}"] = replace(made, claim_id=f"C{state}", state=state.value)
    yield [f"/p/{token}", *(f"/c/C{state}" for state in ClaimState)]
    site.till.claims.clear()


def test_paying_later_in_pictures(screen, site, lots, later):
    site.till.lots["WAKABA1"], site.till.provider_down = replace(lots["bays"], when_down="claim"), True
    try:
        token, page = site.quote(), screen.new_page()
        page.goto(f"/q/{token}?lang=ja")
        page.locator("main form button").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("決済会社とつながりません")
        picture(page, "impossible-ja")
        page.get_by_role("button", name="後払いで出庫する").click()
        page.wait_for_url(f"**/p/{token}")
        expect(page.get_by_role("link", name="支払い用のページを開く")).to_be_visible()
        picture(page, "claim-releasing-ja")
    finally:
        site.till.lots["WAKABA1"], site.till.provider_down = lots["bays"], False
    page.goto("/c/Cdue?lang=en")
    expect(page.get_by_role("button", name="Pay ¥700")).to_be_visible()
    picture(page, "claim-due-en")


def test_a_claim_that_is_being_paid_is_followed_live(screen, site, later):
    site.till.claims["Cdue"] = replace(site.till.claims["Cdue"], paying=True)
    page = screen.new_page()
    page.goto("/c/Cdue")
    expect(page.get_by_role("status")).to_contain_text("Waiting for your payment")
    site.till.claims["Cdue"] = replace(site.till.claims["Cdue"], state="paid", paying=False)
    expect(page.get_by_role("status")).to_contain_text("It is paid")
    expect(page.locator("[data-poll]")).to_have_count(0)


def test_a_doubtful_fee_in_pictures(screen, site):
    page = screen.new_page()
    for language in ("ja", "en"):
        page.goto(f"/q/{site.quote(amount=470_000, ago=timedelta(days=49))}?lang={language}")
        expect(page.locator("main button")).to_have_count(0)
        picture(page, f"doubtful-{language}")


def test_every_text_has_enough_contrast(chromium, site, lots, later):
    """WCAG 1.4.3, computed from what is painted: 4.5 : 1, or 3 : 1 for large text."""
    pages = []
    for stage in PaymentStage:
        token = site.quote(lots["gated"], "OUT1")
        site.pay(token)
        site.stage(token, stage)
        pages.append(f"/p/{token}")
    pages += ["/", "/l/MNAM12K?lat=35&lon=139", f"/q/{site.quote()}", f"/q/{site.quote(amount=470_000)}", *later]
    context = chromium.new_context(viewport=SCREEN, base_url=site.url)
    page = context.new_page()
    for path in [*pages, "/nowhere", "/l/NXSVCH99"]:
        page.goto(path)
        page.evaluate("for (const e of document.querySelectorAll('#away, details')) e.hidden = !(e.open = true)")
        assert page.evaluate(CONTRAST) == [], path
    context.close()


CONTRAST = """() => {
  const rgb = text => (text.match(/[\\d.]+/g) || []).map(Number);
  const shine = ([r, g, b]) => [r, g, b].map(v => v / 255)
    .map(v => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0);
  const ground = e => { for (; e; e = e.parentElement) {
    const c = rgb(getComputedStyle(e).backgroundColor);
    if (c.length === 3 || c[3] > 0) return c; } return [255, 255, 255]; };
  const bad = [];
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const e = walk.currentNode.parentElement;
    if (!walk.currentNode.data.trim() || !e.offsetParent || e.closest("noscript, .skip")) continue;
    const style = getComputedStyle(e), [a, b] = [shine(rgb(style.color)), shine(ground(e))];
    const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05), size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    if (ratio < (large ? 3 : 4.5)) bad.push([walk.currentNode.data.trim().slice(0, 40), ratio.toFixed(2)]);
  }
  return bad; }"""


def test_controls_have_names_and_the_page_a_language_and_one_heading(chromium, site, lots):
    token = site.quote()
    context = chromium.new_context(viewport=SCREEN, base_url=site.url, locale="en-GB")
    page = context.new_page()
    for path in ("/", "/l/WAKABA1", "/l/MNAM12K/OUT1", f"/q/{token}", "/nowhere"):
        page.goto(path)
        assert page.locator("html").get_attribute("lang") == "en"
        assert page.locator("h1").count() == 1
        assert page.title()
        nameless = page.evaluate(
            """[...document.querySelectorAll("input:not([type=hidden]), button, a")]
               .filter(e => !(e.labels && e.labels.length) && !e.textContent.trim()).map(e => e.outerHTML)"""
        )
        assert nameless == [], path
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    context.close()
