"""`python -m cloud`: serve, lot add, lot qr, enrol-code, revoke, payments, sandbox (see docs/cloud-config.md)."""

import argparse
import asyncio
import json
import logging
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from urllib.parse import quote

import segno
from litestar.types import ControllerRouterHandler
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from cloud import app, enrolment, listing, lots, phone, server, webhooks
from cloud.config import CloudConfig, completion_keys, load
from cloud.payments.base import PaymentProvider
from cloud.payments.sandbox import SandboxProvider
from cloud.sandbox import server as sandbox_server
from cloud.schema import lots as lot_rows
from cloud.store import Store
from parking.errors import Code, DaikoError, Environment

log = logging.getLogger(__name__)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; 0 if it did what it says, 1 with a message otherwise."""
    argv = list(sys.argv[1:] if argv is None else argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    for noisy in ("httpx", "alembic", "aiosqlite"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    try:
        if argv[:1] == ["sandbox"]:
            return sandbox_server.main(argv[1:])
        options = _parser().parse_args(argv)
        config = load(options.config)
        run: Callable[[CloudConfig, argparse.Namespace], Awaitable[None]] = options.run
        asyncio.run(run(config, options))  # type: ignore[arg-type]  # every command is a coroutine function
    except DaikoError as error:
        print(f"cloud: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m cloud", description="Daiko's server.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(under: argparse._SubParsersAction, name: str, run: object, text: str) -> argparse.ArgumentParser:  # type: ignore[type-arg]  # generic in stubs only
        made: argparse.ArgumentParser = under.add_parser(name, help=text, description=text)
        made.add_argument("--config", type=Path, default=Path("cloud.toml"), help="the configuration file")
        made.set_defaults(run=run)
        return made

    command(commands, "serve", _serve, "Serve phones, bridges and webhooks.")
    lot = commands.add_parser("lot", help="Lots.").add_subparsers(required=True, metavar="COMMAND")
    add = command(lot, "add", _add_lot, "Onboard a lot from its profile, or bring it up to date.")
    add.add_argument("profile", type=Path)
    add.add_argument("--operator", type=int, default=1, help="number of the operator that owns the lot")
    add.add_argument("--operator-name", default="", help="the operator's name, when it is new")
    qr = command(lot, "qr", _lot_qr, "Draw the QR code of a lot's poster, or of one bay or exit lane in it.")
    qr.add_argument("lot", help="lot code")
    qr.add_argument("--spot", default="", help="bay number or exit lane that the poster hangs at")
    qr.add_argument("--out", type=Path, required=True, metavar="FILE.svg", help="where to write the picture")
    code = command(commands, "enrol-code", _enrol_code, "Make a one-time code (15 minutes) for the bridge of a lot.")
    code.add_argument("lot", nargs="+", help="lot code or number; several for a bridge that serves several lots")
    revoke = command(commands, "revoke", _revoke, "Refuse a bridge from now on.")
    revoke.add_argument("bridge")
    payments = command(commands, "payments", _payments, "List payments and where they stand.")
    payments.add_argument("--json", action="store_true", help="as JSON")
    commands.add_parser("sandbox", help="The sandbox payment provider.", add_help=False)
    return parser


def providers(config: CloudConfig) -> dict[str, PaymentProvider]:
    """The payment providers of a configuration, by name."""
    table = config.payments
    return {table.provider: SandboxProvider(table.url, table.api_key, table.webhook_secret)}


async def _serve(config: CloudConfig, options: argparse.Namespace) -> None:
    del options
    if config.run_file:
        server.forget_run_file(Path(config.run_file))
    keys = completion_keys(Path(config.key_file))
    listening = server.bind(config.listen.host, config.listen.port)
    url = server.address(listening)
    doors: list[ControllerRouterHandler] = [*phone.routes, *webhooks.routes]
    cloud = app.build(config, keys, providers(config), config.public_url or url, doors)

    def ready() -> None:
        log.info("serving on %s as %s", url, config.public_url or url)
        if config.run_file:
            server.write_run_file(Path(config.run_file), url)

    try:
        await cloud.store.migrate()
        await server.Server(cloud.app, ready, cloud.store.bells.close).serve(sockets=[listening])
    finally:
        listening.close()
        if config.run_file:
            server.forget_run_file(Path(config.run_file))
    log.info("ended")


async def _with_store(config: CloudConfig, work: Callable[[Store], Awaitable[None]]) -> None:
    store = Store(config.database_url)
    try:
        await store.migrate()
        await work(store)
    finally:
        await store.close()


async def _add_lot(config: CloudConfig, options: argparse.Namespace) -> None:
    row, exits = lots.read_profile(options.profile)
    name = options.operator_name or f"operator {options.operator}"

    async def work(store: Store) -> None:
        async with store.write() as tx:
            new = await lots.add(tx, row, exits, (options.operator, name))
        print(f"lot {row['id']} ({row['code']}) {'onboarded' if new else 'brought up to date'}")

    await _with_store(config, work)


async def _lot_qr(config: CloudConfig, options: argparse.Namespace) -> None:
    if not config.public_url:
        raise Environment(Code.CONFIG, "public_url is empty", "a poster needs the address that phones reach: set it")

    async def work(store: Store) -> None:
        async with store.read() as db:
            found = await lots.by_code(db, options.lot)
        url = f"{config.public_url}/l/{found.code}" + (f"/{quote(options.spot, safe='')}" if options.spot else "")
        try:
            segno.make_qr(url, error="q").save(str(options.out), kind="svg", scale=10, border=4)
        except OSError as error:
            detail = f"{options.out}: {error.strerror}"
            raise Environment(Code.DISK, detail, "check the folder and its permissions") from error
        print(url)

    await _with_store(config, work)


async def _enrol_code(config: CloudConfig, options: argparse.Namespace) -> None:
    async def work(store: Store) -> None:
        async with store.write() as tx:
            ids = [await _lot_id(tx.connection, name) for name in options.lot]
            code = await enrolment.new_code(tx, ids, app.utc_now())
        print(code)

    await _with_store(config, work)


async def _lot_id(db: AsyncConnection, name: str) -> int:
    """A lot named by code, or by number where no code reads like it."""
    found = (await db.execute(select(lot_rows.c.id).where(lot_rows.c.code == lots.fold_code(name)))).scalar()
    if found is None and name.isascii() and name.isdecimal():
        return int(name)
    return int(found) if found is not None else (await lots.by_code(db, name)).id


async def _revoke(config: CloudConfig, options: argparse.Namespace) -> None:
    async def work(store: Store) -> None:
        async with store.write() as tx:
            await enrolment.revoke(tx, options.bridge, app.utc_now())
        print(f"bridge {options.bridge} revoked")

    await _with_store(config, work)


async def _payments(config: CloudConfig, options: argparse.Namespace) -> None:
    async def work(store: Store) -> None:
        async with store.read() as db:
            rows = await listing.payments(db)
        print(json.dumps(rows, ensure_ascii=False, indent=1) if options.json else listing.table(rows))

    await _with_store(config, work)


if __name__ == "__main__":
    sys.exit(main())
