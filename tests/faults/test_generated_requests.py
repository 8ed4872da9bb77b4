"""Generated requests against both HTTP interfaces on real servers: no 5xx, and no answer that no document knows."""

import json
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import seed as seeded
from requests.auth import AuthBase
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from bridge.config import load
from bridge.keys import load_identity, load_key
from bridge.steady_clock import SteadyClock
from bridge.uplink.signatures import RequestSignature
from demo.stack import Stack
from tests.rigs.figures import SEED, count, size
from tests.rigs.office import PLATES, Office
from tests.rigs.openapi import CLOUD, LOCAL, Operation, document

EXAMPLES = size(8, 500)
"""For each operation, and each of valid and invalid input."""
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]

pytestmark = [
    pytest.mark.timeout(size(240, 1800)),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # of libraries below schemathesis
]


@dataclass(slots=True)
class Door:
    """A real server, and how a client that is let in asks it."""

    url: str
    lots: tuple[int, ...]
    headers: dict[str, str]
    auth: AuthBase | None = None
    tried: int = 0

    def ask(self, method: str, path: str, **more: Any) -> requests.Response:
        with requests.Session() as session:
            session.trust_env = False
            headers = {**self.headers, **more.pop("headers", {})}
            return session.request(method, self.url + path, headers=headers, auth=self.auth, timeout=60, **more)


@pytest.fixture(scope="module")
def local() -> Iterator[Door]:
    """The local API of a running bridge, asked by its console."""
    run = Path(tempfile.mkdtemp(prefix="daiko-api-"))
    office = Office(run, lots=[PLATES])
    office.start()
    where = json.loads((office.data / "api.json").read_text(encoding="utf-8"))
    token = (office.data / "api-token").read_text(encoding="ascii").strip()
    door = Door(where["url"], (PLATES,), {"Authorization": f"Bearer {token}"})
    yield door
    assert not office.ended(), office.tail()
    office.close()
    count("generated requests: local API", door.tried)
    shutil.rmtree(run)


@pytest.fixture(scope="module")
def cloud() -> Iterator[Door]:
    """The cloud's interface to bridges, asked by an enrolled bridge that signs each request."""
    run = Path(tempfile.mkdtemp(prefix="daiko-api-"))
    stack = Stack(run)
    stack.provider.start()
    code = stack.onboard()
    stack.cloud.start()
    stack.write_bridge_config()
    stack.pair(code)
    data = load(stack.bridge_config).data
    auth = RequestSignature(load_identity(data).bridge_id, load_key(data), SteadyClock())
    door = Door(stack.cloud_url, tuple(stack.lot_ids()), {}, auth)
    yield door
    assert stack.cloud.running, stack.cloud.tail()
    stack.abandon()
    count("generated requests: cloud's interface to bridges", door.tried)
    shutil.rmtree(run)


def hammer(door: Door, operations: tuple[Operation, ...], operation: Operation, mode: GenerationMode) -> None:
    """Ask as the document allows, or as it does not, and hold each answer against it."""
    schema = schemathesis.openapi.from_dict(document(operations, door.lots))
    found = schema[operation.path][operation.method.upper()]

    @seeded(SEED)
    @settings(
        max_examples=EXAMPLES,
        database=None,
        deadline=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=found.as_strategy(generation_mode=mode))
    def ask(case: Any) -> None:
        assume(not takes_its_time(operation, case.query or {}))
        with requests.Session() as session:
            session.trust_env = False
            session.auth = door.auth
            response = case.call(base_url=door.url, session=session, headers=door.headers, timeout=60)
        door.tried += 1
        case.validate_response(response, checks=CHECKS)

    ask()


def takes_its_time(operation: Operation, query: dict[str, Any]) -> bool:
    """Without `wait` the feed is a stream that never ends, with a number a long poll: tests/cloud has those."""
    if "wait" not in operation.query:
        return False
    waits = query.get("wait")
    texts = [str(one) for one in (waits if isinstance(waits, list) else [waits])]
    return waits in (None, []) or any(text.isdecimal() and int(text) > 0 for text in texts)


def cases(operations: tuple[Operation, ...]) -> list[Any]:
    """Each operation with valid input, and with invalid input where it has any."""
    found = [(one, GenerationMode.POSITIVE) for one in operations]
    found += [(one, GenerationMode.NEGATIVE) for one in operations if one.body or one.query or "{" in one.path]
    return [pytest.param(one, mode, id=f"{one.path}-{mode.value}") for one, mode in found]


@pytest.mark.parametrize(("operation", "mode"), cases(LOCAL))
def test_the_local_api_answers_whatever_the_console_sends(local: Door, operation: Operation, mode: Any) -> None:
    hammer(local, LOCAL, operation, mode)


@pytest.mark.parametrize(("operation", "mode"), cases(CLOUD))
def test_the_cloud_answers_whatever_a_bridge_sends(cloud: Door, operation: Operation, mode: Any) -> None:
    hammer(cloud, CLOUD, operation, mode)


EDGES = (0, 1, -1, 2**31 - 1, 2**31, 2**32, 2**53, 2**63 - 1, 2**63, 2**64, 10**30)
"""Numbers at which something gives way: SQLite's integers end at 2⁶³ - 1."""


@pytest.mark.parametrize("number", EDGES)
def test_no_number_at_an_edge_is_too_much(local: Door, cloud: Door, number: int) -> None:
    lot = cloud.lots[0]
    answers = [
        local.ask("GET", "/v1/timeline", params={"lot": str(number), "stay": "bay:7"}),
        local.ask("GET", "/v1/timeline", params={"lot": str(PLATES), "stay": f"bay:7@{number}"}),
        local.ask("GET", "/v1/events", params={"after": f"{number}x"}),
        local.ask("POST", "/v1/commands", json=order(lot=number, command_id=f"lot-{number}")),
        local.ask(
            "POST",
            "/v1/commands",
            json=order(verb="resolve", case=number, verdict="settled", command_id=f"case-{number}"),
        ),
        cloud.ask("GET", f"/bridge/v1/lots/{number}/feed", params={"after": "0", "wait": "0"}),
        cloud.ask("GET", f"/bridge/v1/lots/{lot}/feed", params={"after": str(number), "wait": "0"}),
        cloud.ask("POST", f"/bridge/v1/lots/{lot}/reports", json=batch(first=number)),
        cloud.ask("POST", f"/bridge/v1/lots/{lot}/reports", json=batch(generation=number)),
        cloud.ask("POST", f"/bridge/v1/lots/{lot}/reports", json=batch(reports=[received(number)])),
    ]
    local.tried += 5
    cloud.tried += 5
    assert [(one.request.url, one.status_code, one.text) for one in answers if one.status_code >= 500] == []


@pytest.mark.parametrize(
    "body",
    [b"", b"null", b"[]", b"{", b'"' + b"a" * 70_000 + b'"', b"[" * 30_000, b"\xff\xfe", b'{"schema":1e999}', b"\0"],
    ids=lambda body: repr(body[:12]),
)
def test_no_body_is_too_odd(local: Door, cloud: Door, body: bytes) -> None:
    kind = {"Content-Type": "application/json"}
    for door, path in ((local, "/v1/commands"), (cloud, f"/bridge/v1/lots/{cloud.lots[0]}/reports")):
        answer = door.ask("POST", path, data=body, headers=kind)
        door.tried += 1
        assert 400 <= answer.status_code < 500, answer.text


def order(**more: Any) -> dict[str, Any]:
    words = {"schema": 1, "command_id": "edge", "lot": PLATES, "verb": "release", "exit": "99"}
    return {**words, "actor": "Tanaka", "reason": "1 rain", **more}


def batch(**more: Any) -> dict[str, Any]:
    return {"schema": 1, "generation": 1, "first": 1, "reports": [], **more}


def received(number: int) -> dict[str, Any]:
    return {"type": "received", "number": number, "at": "2026-11-24T00:00:00Z"}
