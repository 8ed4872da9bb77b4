"""`python -m bridge operator …` and `audit …`: who may open the gate, and the record of it, from the command line.

Works beside a running bridge: it sees a change of operators at its next order, and SQLite lets both write.
"""

import getpass
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from bridge import audit, keys, operators, pins
from bridge.audit import Broken, Head
from bridge.config import BridgeConfig
from bridge.journal import Journal
from bridge.journal_file import read_only
from bridge.operators import OperatorFile, Roster
from bridge.secret_store import open_store
from bridge.sign_on import forget_lock
from parking.commands import OperatorRole
from parking.errors import BadMessage, Code, Environment

Change = Callable[[Roster, datetime], Roster]


def add(config: BridgeConfig, name: str, role: OperatorRole, pin: str) -> str:
    """Give somebody the right to sign in. Raises BadMessage(SIGN_IN | BAD_NAME), Refused(CONFLICT), Environment."""
    name = operators.fold_name(name)
    kept = _hashed(config, name, pin)
    _change(config, "add", name, lambda roster, now: operators.add(roster, name, role, kept, now), role)
    return f"{name}: {role}"


def new_pin(config: BridgeConfig, name: str, pin: str) -> str:
    """Give a new PIN; ends locks and sessions. Raises as `add`, but Refused(NOT_FOUND)."""
    name = operators.fold_name(name)
    kept = _hashed(config, name, pin)
    _change(config, "pin", name, lambda roster, now: operators.change(roster, name, now, pin=kept))
    return f"{name}: new PIN"


def new_role(config: BridgeConfig, name: str, role: OperatorRole) -> str:
    """Give another role. Raises Refused(NOT_FOUND), BadMessage(BAD_NAME), Environment."""
    name = operators.fold_name(name)
    _change(config, "role", name, lambda roster, now: operators.change(roster, name, now, role=role), role)
    return f"{name}: {role}"


def sign_out(config: BridgeConfig, name: str) -> str:
    """End whatever sessions somebody has. Raises Refused(NOT_FOUND), BadMessage(BAD_NAME), Environment."""
    name = operators.fold_name(name)
    _change(config, "sign-out", name, lambda roster, now: operators.change(roster, name, now))
    return f"{name}: signed out"


def remove(config: BridgeConfig, name: str) -> str:
    """Take the right to sign in. Raises Refused(NOT_FOUND), BadMessage(BAD_NAME), Environment."""
    name = operators.fold_name(name)
    left = _change(config, "remove", name, lambda roster, _: operators.remove(roster, name))
    if left.operators:
        return f"{name} removed"
    return f"{name} removed; nobody is left: whoever sits at the console may give orders now"


def listed(config: BridgeConfig) -> list[str]:
    """A line for each operator. Raises Environment(CONFIG | DISK)."""
    roster = OperatorFile(config.data).load() or Roster()
    if not roster.operators:
        return ["no operators: whoever sits at the console may give orders"]
    return [f"{one.role:<11} {one.changed:%Y-%m-%d %H:%MZ}  {one.name}" for one in roster.operators]


def ask_pin(*, from_stdin: bool) -> str:
    """A new PIN, asked twice without echo, or the first line of standard input. Raises BadMessage(SIGN_IN)."""
    if from_stdin:
        return sys.stdin.readline().strip()
    if not sys.stdin.isatty():
        raise BadMessage(Code.SIGN_IN, "there is no terminal to ask for the PIN at", "give --pin-stdin")
    pin = getpass.getpass("新しい暗証番号 / new PIN: ")
    if getpass.getpass("もう一度 / once more: ") != pin:
        raise BadMessage(Code.SIGN_IN, "the two are not the same", "try again")
    return pin


def _hashed(config: BridgeConfig, name: str, pin: str) -> str:
    pins.check(pin, name)
    _right_user(config.data)
    file = OperatorFile(config.data)
    if file.load() is None:
        file.save(Roster())  # before the pepper: a pepper without a file would shut the door to all
    return pins.hash_pin(pin, name, keys.make_pepper(open_store(config.data, config.store)))


def _change(config: BridgeConfig, what: str, name: str, change: Change, role: OperatorRole | None = None) -> Roster:
    """Change the file while holding the journal's write lock, so that two command lines never lose one's change."""
    _right_user(config.data)
    config.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    now, file = datetime.now(UTC), OperatorFile(config.data)
    with closing(Journal(config.data / "journal.db")) as journal, journal.transaction() as tx:
        roster = change(file.load() or Roster(), now)
        body = {"operator": name, "change": what} | ({"role": role} if role is not None else {})
        tx.audit(now, f"{getpass.getuser()} (command line)", "operator", body)
        forget_lock(tx, name)
        file.save(roster)
    return roster


def _right_user(data: Path) -> None:
    """What root writes the bridge could not read any more, and would let nobody sign in."""
    if os.name == "nt" or not data.exists():
        return
    owner = data.stat().st_uid
    if os.geteuid() != owner:
        import pwd

        raise Environment(
            Code.CONFIG, f"{data} belongs to user {owner}", f"run this as {pwd.getpwuid(owner).pw_name} (sudo -u)"
        )


# --- the record ------------------------------------------------------------------------------------------------------


def verify(config: BridgeConfig, heads: Sequence[Head], say: Callable[[str], None]) -> Head | Broken:
    """Recompute the chain, and hold it against heads that the cloud has. Raises Environment(JOURNAL)."""
    with closing(read_only(config.data / "journal.db")) as journal:
        return audit.verify(audit.entries(journal), heads, lambda count: say(f"{count:,} entries"))


def anchored(config: BridgeConfig, file: Path, since: int | None, say: Callable[[str], None]) -> list[Head]:
    """The heads in a file that the cloud wrote; by default those of the present enrolment.

    Raises Environment(CONFIG | NOT_ENROLLED | DISK), BadMessage(AUDIT) if there are none, BadMessage if it is no such
    file.
    """
    since = keys.load_identity(config.data).generation if since is None else since
    try:
        heads = audit.heads_of(file.read_bytes(), since)
    except OSError as error:
        raise Environment(Code.CONFIG, f"{file}: {error.strerror}", "name the file as the cloud wrote it") from error
    if not heads:
        remedy = "write it anew: python -m cloud anchors LOT --json; or hold against earlier enrolments with --since"
        raise BadMessage(Code.AUDIT, f"{file} has no heads of enrolment {since} or later", remedy)
    say(f"held against {len(heads):,} heads of enrolment {since} and later")
    return heads


def shown(config: BridgeConfig, last: int) -> list[str]:
    """The latest entries, a line each. Raises Environment."""
    with closing(read_only(config.data / "journal.db")) as journal:
        return [
            f"{one.entry}  {one.at}  {one.what}  {one.actor}  {one.body}  {one.hash[:16]}…"
            for one in audit.entries(journal, last)
        ]
