"""OpenAPI documents of both HTTP interfaces, made of the message types that they decode and encode.

Neither program serves one: the bridge's interface to the console is documented by parking.desk and parking.commands,
the cloud's interface to bridges by parking.wire and parking.reports.
"""

from dataclasses import dataclass, field
from typing import Any

import msgspec

from parking.commands import Command, CommandReply, Redeem, RedeemReply, SignedIn, SignIn, SignOut
from parking.desk import Snapshot, Timeline
from parking.reports import ReportBatch, ReportReply
from parking.wire import Accepted, Answer, EnrolPending, EnrolReply, EnrolRequest, FeedBatch, LotKeys, Message, Problem

REF = "#/components/schemas/{name}"


@dataclass(frozen=True, slots=True)
class Operation:
    """One way to ask. `query` maps names to schemas; all are required."""

    method: str
    path: str
    reply: type[Message]
    body: type[Message] | None = None
    query: dict[str, dict[str, Any]] = field(default_factory=dict)
    also: dict[int, type[Message]] = field(default_factory=dict)


NUMBER: dict[str, Any] = {"type": "integer", "minimum": 0, "maximum": 2**31}
TEXT: dict[str, Any] = {"type": "string", "maxLength": 80}
LOCAL = (
    Operation("get", "/v1/snapshot", Snapshot),
    Operation("get", "/v1/timeline", Timeline, query={"lot": NUMBER, "stay": TEXT}),
    Operation("post", "/v1/commands", CommandReply, Command),
    Operation("post", "/v1/codes", RedeemReply, Redeem),
    Operation("post", "/v1/sign-in", SignedIn, SignIn),
    Operation("post", "/v1/sign-out", CommandReply, SignOut),
)
CLOUD = (
    Operation("post", "/bridge/v1/enrol", EnrolPending, EnrolRequest),
    Operation("get", "/bridge/v1/enrolment", EnrolReply),
    Operation("get", "/bridge/v1/lots/{lot}/feed", FeedBatch, query={"after": NUMBER, "wait": {"const": 0}}),
    Operation("get", "/bridge/v1/lots/{lot}/keys", LotKeys),
    Operation("post", "/bridge/v1/lots/{lot}/reports", ReportReply, ReportBatch, also={409: ReportReply}),
    Operation("post", "/bridge/v1/lots/{lot}/answers", Accepted, Answer),
)
REFUSALS = (400, 401, 403, 404, 405, 409, 413, 415, 421, 422, 429, 503)
"""What may be answered instead, as a Problem."""


def document(operations: tuple[Operation, ...], lots: tuple[int, ...]) -> dict[str, Any]:
    """The OpenAPI document; `lots` are the ones that exist, beside which one is tried that does not."""
    kinds = {Problem, *(one.reply for one in operations), *(one.body for one in operations if one.body is not None)}
    kinds |= {kind for one in operations for kind in one.also.values()}
    ordered = sorted(kinds, key=lambda kind: kind.__name__)
    schemas, components = msgspec.json.schema_components(ordered, ref_template=REF)
    named = dict(zip(ordered, schemas, strict=True))
    paths: dict[str, Any] = {}
    for one in operations:
        parameters = [
            {"name": name, "in": "query", "required": True, "schema": kind} for name, kind in one.query.items()
        ]
        if "{lot}" in one.path:
            lot = {"enum": [*lots, 2**32 - 1]}
            parameters.append({"name": "lot", "in": "path", "required": True, "schema": lot})
        entry: dict[str, Any] = {"parameters": parameters, "responses": _responses(one, named)}
        if one.body is not None:
            entry["requestBody"] = {"required": True, "content": {"application/json": {"schema": named[one.body]}}}
        paths.setdefault(one.path, {})[one.method] = entry
    return {
        "openapi": "3.1.0",
        "info": {"title": "Daiko", "version": "1"},
        "paths": paths,
        "components": {"schemas": components},
    }


def _responses(one: Operation, named: dict[type[Message], Any]) -> dict[str, Any]:
    def said(schema: Any) -> dict[str, Any]:
        return {"description": "see docs", "content": {"application/json": {"schema": schema}}}

    found = {str(status): said(named[Problem]) for status in REFUSALS}
    found["200"] = said(named[one.reply])
    for status, kind in one.also.items():
        found[str(status)] = said({"anyOf": [named[kind], named[Problem]]})
    return found
