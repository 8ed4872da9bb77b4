"""`python -m cloud`: serve, lots, enrolment, payments, what people decide, days, sandbox (see docs/cloud-config.md).

Each command imports what it alone needs, so that none waits for the web server.
"""

import argparse
import asyncio
import json
import logging
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from cloud import bridge_commands, clock, day_commands, enrolment, listing, logs, lots, money_commands
from cloud.code_keys import LotSecrets
from cloud.config import CloudConfig, completion_keys, load
from cloud.orders import Orders
from cloud.schema import lots as lot_rows
from cloud.store import Store
from parking.errors import Code, DaikoError, Environment


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; 0 if it did what it says, 1 with a message otherwise."""
    argv = list(sys.argv[1:] if argv is None else argv)
    logs.to_stderr("INFO")
    for noisy in ("httpx", "alembic", "aiosqlite"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    try:
        if argv[:1] == ["sandbox"]:
            from cloud.sandbox.server import main as sandbox

            return sandbox(argv[1:])
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
    add = command(lot, "add", _add_lot, "Onboard lots from their profiles, or bring them up to date.")
    add.add_argument("profile", type=Path, nargs="+", help="profiles; all of them are taken, or none")
    add.add_argument("--operator", type=int, default=1, help="number of the operator that owns the lot")
    add.add_argument("--operator-name", default="", help="the operator's name, when it is new")
    qr = command(lot, "qr", _lot_qr, "Draw the QR code of a lot's poster, or of one bay or exit lane in it.")
    qr.add_argument("lot", help="lot code")
    qr.add_argument("--spot", default="", help="bay number or exit lane that the poster hangs at")
    qr.add_argument("--out", type=Path, required=True, metavar="FILE.svg", help="where to write the picture")
    code = command(commands, "enrol-code", _enrol_code, "Make a one-time code (15 minutes) for the bridge of a lot.")
    code.add_argument("lot", nargs="+", help="lot code or number; several for a bridge that serves several lots")
    bridge = commands.add_parser("bridge", help="Bridges: approval, list, revocation.").add_subparsers(
        required=True, metavar="COMMAND"
    )
    for name, text in bridge_commands.COMMANDS.items():
        bridge_commands.arguments(command(bridge, name, _bridge(name), text), name)
    payments = command(commands, "payments", _payments, "List payments and where they stand.")
    payments.add_argument("--json", action="store_true", help="as JSON")
    day = commands.add_parser("day", help="Business days: reconciliation.").add_subparsers(
        required=True, metavar="COMMAND"
    )
    for name, text in (
        ("show", "Show a day: totals, differences, reasons."),
        ("compare", "Compare provider, ledger, bridge and legacy anew."),
        ("explain", "Give a difference its reason."),
        ("close", "Close a day; every difference needs a reason first."),
    ):
        day_commands.arguments(command(day, name, _day(name), text), name)
    for name, text in money_commands.COMMANDS.items():
        money_commands.arguments(command(commands, name, _money(name), text), name)
    commands.add_parser("sandbox", help="The sandbox payment provider.", add_help=False)
    return parser


async def _serve(config: CloudConfig, options: argparse.Namespace) -> None:
    from cloud.serving import serve

    del options
    await serve(config)


async def _with_store(config: CloudConfig, work: Callable[[Store], Awaitable[None]]) -> None:
    store = Store(config.database_url)
    try:
        await store.migrate()
        await work(store)
    finally:
        await store.close()


async def _add_lot(config: CloudConfig, options: argparse.Namespace) -> None:
    read = [lots.read_profile(profile) for profile in options.profile]
    name = options.operator_name or f"operator {options.operator}"
    sealing = completion_keys(Path(config.key_file)).sealing
    kept = LotSecrets(sealing, config.codes.good_seconds, config.codes.rotate_after)

    async def work(store: Store) -> None:
        said = []
        async with store.write() as tx:
            for row, exits in read:
                new = await lots.add(tx, row, exits, (options.operator, name))
                await kept.ensure(tx, row["id"], clock.utc_now())
                said.append(f"lot {row['id']} ({row['code']}) {'onboarded' if new else 'brought up to date'}")
        print("\n".join(said))

    await _with_store(config, work)


async def _lot_qr(config: CloudConfig, options: argparse.Namespace) -> None:
    import segno

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
            code = await enrolment.new_code(tx, ids, clock.utc_now())
        print(code)

    await _with_store(config, work)


async def _lot_id(db: AsyncConnection, name: str) -> int:
    """A lot named by code, or by number where no code reads like it."""
    found = (await db.execute(select(lot_rows.c.id).where(lot_rows.c.code == lots.fold_code(name)))).scalar()
    if found is None and name.isascii() and name.isdecimal():
        return int(name)
    return int(found) if found is not None else (await lots.by_code(db, name)).id


def _day(name: str) -> Callable[[CloudConfig, argparse.Namespace], Awaitable[None]]:
    async def run(config: CloudConfig, options: argparse.Namespace) -> None:
        from cloud.payments.configured import providers

        known = providers(config)

        async def work(store: Store) -> None:
            print(await getattr(day_commands.DayCommands(store, known, clock.utc_now), name)(options))

        try:
            await _with_store(config, work)
        finally:
            for provider in known.values():
                await provider.close()

    return run


def _money(name: str) -> Callable[[CloudConfig, argparse.Namespace], Awaitable[None]]:
    return _with_orders(name, money_commands.MoneyCommands)


def _bridge(name: str) -> Callable[[CloudConfig, argparse.Namespace], Awaitable[None]]:
    return _with_orders(name, bridge_commands.BridgeCommands)


def _with_orders(
    name: str, commands: type[money_commands.MoneyCommands | bridge_commands.BridgeCommands]
) -> Callable[[CloudConfig, argparse.Namespace], Awaitable[None]]:
    async def run(config: CloudConfig, options: argparse.Namespace) -> None:
        async def work(store: Store) -> None:
            orders = Orders(completion_keys(Path(config.key_file)).current, config.limits)
            print(await commands(store, orders, clock.utc_now).run(name, options))

        await _with_store(config, work)

    return run


async def _payments(config: CloudConfig, options: argparse.Namespace) -> None:
    async def work(store: Store) -> None:
        async with store.read() as db:
            rows = await listing.payments(db)
        print(json.dumps(rows, ensure_ascii=False, indent=1) if options.json else listing.table(rows))

    await _with_store(config, work)


if __name__ == "__main__":
    sys.exit(main())
