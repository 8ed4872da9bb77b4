"""The road through the cloud: fee, authorization, completion, settled, captured; and each way it can fail."""

import threading
from datetime import UTC, datetime, timedelta
from functools import partial

import msgspec
import pytest

from cloud import listing
from cloud.payments.base import ProviderState
from parking.completion import from_digits
from parking.errors import BadMessage, Code, Environment, NotSent, Refused, Uncertain
from parking.outcome import Evidence, EvidenceKind, Level
from parking.reports import InDoubt, Received, Settled, StayClosed, StayOpened
from parking.reports import Refused as LotRefused
from parking.signing import to_text
from parking.stay import NameKind, StayRef
from parking.wire import Answer, FeedBatch, FeeLine, Found, NotFound, decode

WAKABA, GATED = 1001, 1002


def now() -> datetime:
    return datetime.now(UTC)


def settled(number: int, by: str = "relay") -> Settled:
    seen = (Evidence(EvidenceKind.OBSERVED, "plate down"),)
    return Settled(number=number, at=now(), level=Level.PHYSICALLY_OBSERVED, evidence=seen, by=by)


def refused(number: int) -> LotRefused:
    return LotRefused(number=number, at=now(), code=Code.ALREADY_PAID, detail="cash was faster")


def doubtful(number: int) -> InDoubt:
    return InDoubt(number=number, at=now(), code=Code.NO_REPLY, detail="silence")


def feed(bridge, lot: int, after: int = 0, wait: int = 0) -> FeedBatch:
    return decode(bridge.get(f"/bridge/v1/lots/{lot}/feed?after={after}&wait={wait}").content, FeedBatch)


@pytest.fixture
def bridge(cloud):
    """The bridge of the lot with lock plates, a car in bay 7 since 65 minutes."""
    made = cloud.bridge(WAKABA)
    made.stay = made.car(WAKABA, "7")
    return made


def test_a_paid_stay_is_captured_once_the_lot_has_settled_it(cloud, bridge):
    token, order = cloud.pay("wakaba1", "０７")
    cloud.approve(order)
    completion = bridge.completion(feed(bridge, WAKABA).entries[0].completion)
    assert (completion.lot, completion.number, completion.stay) == (WAKABA, 1, bridge.stay)
    page = cloud.do(cloud.cloud.cashier.payment(token))
    assert (page.stage, page.reference) == ("releasing", "DK-1001-1")
    assert bridge.completion(to_text(from_digits(page.completion))) == completion
    assert ("capture", order) not in cloud.provider.calls
    assert bridge.report(WAKABA, Received(number=1, at=now()), settled(1)).ok
    cloud.until(lambda: cloud.standing(order) == "captured")
    assert cloud.stage(token) == "done"
    assert cloud.provider.calls.count(("capture", order)) == 1
    assert ("void", order) not in cloud.provider.calls


def test_where_the_machine_took_less_just_that_is_charged_and_counts_as_paid(cloud, bridge):
    token, order = cloud.pay("WAKABA1", "7")
    cloud.approve(order)
    _, held = cloud.provider.books[order]
    took = msgspec.structs.replace(settled(1), credited=held - 50)
    assert bridge.report(WAKABA, took).ok
    cloud.until(lambda: cloud.standing(order) == "captured")
    assert cloud.provider.books[order] == ("captured", held - 50)
    assert cloud.do(cloud.cloud.cashier.payment(token)).charged == held - 50
    assert bridge.report(WAKABA, took).ok  # told again it changes nothing
    assert cloud.do(_paid(cloud)) == [(held, held - 50)]


async def _paid(cloud):
    async with cloud.cloud.store.read() as db:
        return [(row["amount"], row["charged"]) for row in await listing.payments(db)]


def test_what_the_lot_refuses_is_voided_and_its_completion_no_longer_shown(cloud, bridge):
    token, order = cloud.pay("WAKABA1", "7")
    cloud.approve(order)
    assert bridge.report(WAKABA, refused(1)).ok
    cloud.until(lambda: cloud.standing(order) == "voided")
    page = cloud.do(cloud.cloud.cashier.payment(token))
    assert (page.stage, page.code, page.completion) == ("not_charged", Code.ALREADY_PAID, "")


def test_nothing_is_voided_nor_captured_while_the_lot_is_in_doubt(cloud, bridge):
    token, order = cloud.pay("WAKABA1", "7")
    cloud.approve(order)
    assert bridge.report(WAKABA, doubtful(1)).ok
    assert cloud.stage(token) == "attendant"
    threading.Event().wait(1.2)  # more than a round
    assert not {"capture", "void", "refund"} & {verb for verb, _ in cloud.provider.calls}
    assert bridge.report(WAKABA, settled(1, by="Sato")).ok
    cloud.until(lambda: cloud.standing(order) == "captured")


def test_the_same_webhook_twice_makes_one_completion(cloud, bridge):
    _, order = cloud.pay("WAKABA1", "7")
    event = cloud.provider.say(order, ProviderState.AUTHORIZED)
    for _ in range(3):
        cloud.do(cloud.cloud.cashier.apply(event))
    cloud.approve(order)  # another event of the same content, as a poll makes
    assert len(feed(bridge, WAKABA).entries) == 1


def test_webhooks_that_arrive_together_make_one_completion(cloud, bridge):
    _, order = cloud.pay("WAKABA1", "7")
    events = [cloud.provider.say(order, ProviderState.AUTHORIZED) for _ in range(8)]
    threads = [threading.Thread(target=partial(cloud.do, cloud.cloud.cashier.apply(event))) for event in events]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(feed(bridge, WAKABA).entries) == 1


def test_a_lost_webhook_is_made_up_for_by_asking(config, provider, run_with):
    with run_with(poll_seconds=(0.2, 0.4, 5.0)) as cloud:
        bridge = cloud.bridge(WAKABA)
        bridge.car(WAKABA, "7")
        token, order = cloud.pay("WAKABA1", "7")
        provider.say(order, ProviderState.AUTHORIZED)
        cloud.until(lambda: cloud.stage(token) == "releasing")
        assert ("query", order) in provider.calls


def test_another_amount_is_a_conflict_and_is_voided(cloud, bridge):
    token, order = cloud.pay("WAKABA1", "7")
    with pytest.raises(Refused) as caught:
        cloud.do(cloud.cloud.cashier.apply(cloud.provider.say(order, ProviderState.AUTHORIZED, 1)))
    assert caught.value.code is Code.CONFLICT
    assert feed(bridge, WAKABA).entries == ()
    cloud.until(lambda: cloud.standing(order) == "voided")
    assert cloud.stage(token) == "not_charged"


def test_the_same_wrong_amount_again_is_no_second_alarm(cloud, bridge):
    _, order = cloud.pay("WAKABA1", "7")
    event = cloud.provider.say(order, ProviderState.AUTHORIZED, 1)
    with pytest.raises(Refused):
        cloud.do(cloud.cloud.cashier.apply(event))
    for _ in range(2):
        cloud.do(cloud.cloud.cashier.apply(event))  # answered as taken: it need not come again


def test_an_order_that_is_not_ours_is_refused(cloud, bridge):
    _, order = cloud.pay("WAKABA1", "7")
    cloud.provider.books["dk-other"] = cloud.provider.books[order]
    with pytest.raises(Refused) as caught:
        cloud.approve("dk-other")
    assert caught.value.code is Code.NOT_FOUND


def test_an_authorization_after_the_car_left_is_voided(cloud, bridge):
    token, order = cloud.pay("WAKABA1", "7")
    assert bridge.report(WAKABA, StayClosed(stay=bridge.stay, at=now())).ok
    cloud.approve(order)
    assert feed(bridge, WAKABA).entries == ()
    cloud.until(lambda: cloud.standing(order) == "voided")
    assert cloud.do(cloud.cloud.cashier.payment(token)).code == Code.STAY_CHANGED


def test_a_stay_is_paid_once_at_a_time(cloud, bridge):
    first = cloud.do(cloud.cloud.cashier.fee("WAKABA1", "7", ""))
    second = cloud.do(cloud.cloud.cashier.fee("WAKABA1", "7", ""))
    cloud.do(cloud.cloud.cashier.pay(first.token, "ja"))
    with pytest.raises(Refused) as caught:
        cloud.do(cloud.cloud.cashier.pay(second.token, "ja"))
    assert caught.value.code is Code.CONFLICT


def test_an_old_quote_cannot_pay_a_stay_again_that_was_paid_since(cloud, bridge):
    first = cloud.do(cloud.cloud.cashier.fee("WAKABA1", "7", ""))
    token, order = cloud.pay("WAKABA1", "7")
    cloud.approve(order)
    bridge.report(WAKABA, settled(1))
    cloud.until(lambda: cloud.stage(token) == "done")
    with pytest.raises(Refused) as caught:
        cloud.do(cloud.cloud.cashier.pay(first.token, "ja"))
    assert caught.value.code is Code.CONFLICT


def test_what_was_paid_counts_as_paid(cloud, bridge):
    token, order = cloud.pay("WAKABA1", "7")
    cloud.approve(order)
    bridge.report(WAKABA, settled(1))
    cloud.until(lambda: cloud.stage(token) == "done")
    with pytest.raises(Refused) as caught:
        cloud.do(cloud.cloud.cashier.fee("WAKABA1", "7", ""))
    assert caught.value.code is Code.ALREADY_PAID


def test_the_same_quote_leads_to_the_same_page(cloud, bridge):
    quote = cloud.do(cloud.cloud.cashier.fee("WAKABA1", "7", ""))
    pages = {cloud.do(cloud.cloud.cashier.pay(quote.token, "ja")) for _ in range(3)}
    assert len(pages) == 1
    assert len(cloud.provider.books) == 1


def test_a_quote_holds_its_working_and_its_deadline(cloud, bridge):
    quote = cloud.do(cloud.cloud.cashier.fee("WAKABA1", "7", ""))
    assert sum(line.amount for line in quote.lines) == quote.amount > 0
    assert timedelta(seconds=80) < quote.valid_until - now() <= timedelta(seconds=300)
    assert cloud.do(cloud.cloud.cashier.quote(quote.token)) == quote


@pytest.mark.parametrize(
    ("code", "typed", "exit_", "error", "expected"),
    [
        ("NOSUCH1", "7", "", Refused, Code.LOT_UNKNOWN),
        ("WAKABA1", "8", "", Refused, Code.STAY_UNKNOWN),
        ("WAKABA1", "7", "OUT1", Refused, Code.EXIT_UNKNOWN),
        ("WAKABA1", "7", "7", Refused, Code.EXIT_UNKNOWN),
        ("WAKABA1", "!", "", BadMessage, Code.BAD_NAME),
        ("MNAM12K", "7", "", Environment, Code.LOT_OFFLINE),
    ],
    ids=["lot", "stay", "exit", "plate-is-no-lane", "name", "offline"],
)
def test_a_fee_that_cannot_be_told_says_why(cloud, bridge, code, typed, exit_, error, expected):
    with pytest.raises(error) as caught:
        cloud.do(cloud.cloud.cashier.fee(code, typed, exit_))
    assert caught.value.code is expected


def test_a_name_that_is_not_ours_finds_nothing(cloud):
    for question in (cloud.cloud.cashier.quote, cloud.cloud.cashier.payment):
        with pytest.raises(Refused) as caught:
            cloud.do(question("x" * 22))
        assert caught.value.code is Code.NOT_FOUND


@pytest.mark.parametrize("trouble", [NotSent, Uncertain], ids=["never-left", "doubtful"])
def test_a_page_that_could_not_be_opened_can_be_tried_again(cloud, bridge, trouble):
    quote = cloud.do(cloud.cloud.cashier.fee("WAKABA1", "7", ""))
    cloud.provider.trouble.append(("begin", trouble(Code.PROVIDER, "the line"), True))
    with pytest.raises(Environment):
        cloud.do(cloud.cloud.cashier.pay(quote.token, "ja"))
    assert cloud.do(cloud.cloud.cashier.pay(quote.token, "ja")).startswith("https://shelf.example/")
    assert len(cloud.provider.books) == 1


def test_a_page_that_the_provider_refuses_ends_the_payment_and_frees_the_stay(cloud, bridge):
    quote = cloud.do(cloud.cloud.cashier.fee("WAKABA1", "7", ""))
    cloud.provider.trouble.append(("begin", Refused(Code.PROVIDER, "merchant unknown"), False))
    with pytest.raises(Environment):
        cloud.do(cloud.cloud.cashier.pay(quote.token, "ja"))
    assert cloud.stage(quote.token) == "not_charged"
    cloud.pay("WAKABA1", "7")


def test_a_doubtful_capture_is_asked_about_and_not_repeated(cloud, bridge):
    _, order = cloud.pay("WAKABA1", "7")
    cloud.approve(order)
    cloud.provider.trouble.append(("capture", Uncertain(Code.PROVIDER, "timed out"), True))
    assert bridge.report(WAKABA, settled(1)).ok
    cloud.until(lambda: cloud.standing(order) == "captured", 8)
    assert cloud.provider.calls.count(("capture", order)) == 1
    assert ("query", order) in cloud.provider.calls


def test_a_capture_that_never_left_is_sent_again(cloud, bridge):
    _, order = cloud.pay("WAKABA1", "7")
    cloud.approve(order)
    cloud.provider.trouble += [("capture", NotSent(Code.PROVIDER, "no line"), False)] * 2
    assert bridge.report(WAKABA, settled(1)).ok
    cloud.until(lambda: cloud.standing(order) == "captured", 12)
    assert cloud.provider.calls.count(("capture", order)) == 3


def test_money_that_was_captured_elsewhere_is_refunded_after_a_refusal(cloud, bridge):
    _, order = cloud.pay("WAKABA1", "7")
    cloud.approve(order)
    cloud.provider.trouble.append(("void", Refused(Code.PROVIDER, "captured"), False))
    cloud.provider.books[order] = (ProviderState.CAPTURED, cloud.provider.books[order][1])
    assert bridge.report(WAKABA, refused(1)).ok
    cloud.until(lambda: cloud.standing(order) == "refunded", 8)
    assert cloud.provider.calls.count(("refund", order)) == 1


def answering(cloud, bridge, result) -> threading.Thread:
    """A bridge that waits for one ask and answers it."""

    def work() -> None:
        asks = feed(bridge, GATED, wait=5).asks
        bridge.asked = asks[0]
        bridge.post(f"/bridge/v1/lots/{GATED}/answers", Answer(ask_id=asks[0].ask_id, result=result))

    thread = threading.Thread(target=work)
    thread.start()
    cloud.until(lambda: cloud.do(cloud.cloud.cashier.lot("MNAM12K")).online)
    return thread


def ticket(name: str = "0042") -> StayRef:
    return StayRef(NameKind.TICKET, name, now().replace(microsecond=0) - timedelta(hours=1))


def test_the_legacys_fee_is_asked_for_and_quoted_as_a_lease(cloud):
    bridge, stay = cloud.bridge(GATED), ticket()
    lines = (FeeLine(text={"ja": "基本", "en": "Base"}, amount=700),)
    found = Found(stay=stay, amount=700, lines=lines, valid_until=now() + timedelta(hours=1))
    thread = answering(cloud, bridge, found)
    quote = cloud.do(cloud.cloud.cashier.fee("MNAM12K", "00-42", "OUT1"))
    thread.join()
    assert (bridge.asked.kind, bridge.asked.name) == (NameKind.TICKET, "0042")
    assert (quote.stay, quote.amount, quote.exit, quote.fee_by) == (stay, 700, "OUT1", "legacy")
    assert quote.valid_until - quote.at <= timedelta(seconds=180)


@pytest.mark.parametrize(
    ("result", "error", "code"),
    [
        (NotFound(code=Code.ALREADY_PAID, detail="cash"), Refused, Code.ALREADY_PAID),
        (NotFound(code=Code.NO_REPLY, detail="silence"), Environment, Code.DEVICE_UNAVAILABLE),
        (
            Found(stay=ticket("0043"), amount=1, lines=(), valid_until=now() + timedelta(hours=1)),
            Environment,
            Code.DEVICE_UNAVAILABLE,
        ),
    ],
    ids=["paid", "silence", "another-stay"],
)
def test_what_the_legacy_cannot_quote_is_not_sold(cloud, result, error, code):
    thread = answering(cloud, cloud.bridge(GATED), result)
    with pytest.raises(error) as caught:
        cloud.do(cloud.cloud.cashier.fee("MNAM12K", "0042", ""))
    thread.join()
    assert caught.value.code is code


def test_the_phone_hears_of_each_change(cloud, bridge):
    token, order = cloud.pay("WAKABA1", "7")
    page = cloud.do(cloud.cloud.cashier.payment(token))
    timer = threading.Timer(0.2, cloud.approve, (order,))
    timer.start()
    changed = cloud.do(cloud.cloud.cashier.changed(token, page.version, 5))
    timer.join()
    assert (changed.stage, changed.version > page.version) == ("releasing", True)
    assert cloud.do(cloud.cloud.cashier.changed(token, changed.version, 0.1)).version == changed.version


def test_lots_are_found_by_position_nearest_first(cloud):
    found = cloud.do(cloud.cloud.cashier.lots_near(35.7142, 139.4330))
    assert [(page.code, metres < 50) for page, metres in found] == [("WAKABA1", True), ("MNAM12K", False)]
    assert cloud.do(cloud.cloud.cashier.lots_near(34.0, 135.0)) == []


def test_a_new_car_in_the_bay_ends_the_stay_before(cloud, bridge):
    later = StayRef(NameKind.BAY, "7", now().replace(microsecond=0))
    assert bridge.report(WAKABA, StayOpened(stay=later, at=now())).ok
    assert cloud.do(cloud.cloud.cashier.fee("WAKABA1", "7", "")).stay == later
