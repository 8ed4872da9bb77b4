"""What a database server goes through, and what others do in it, while we book. All of it is real.

Each deed begins at a moment of its own, on a thread of its own, and lasts `seconds`, or until all is to be over.
"""

import contextlib
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import firebird.driver as fb
import psycopg

from tests.drivers.host_link.wire import COMMITS, Wire
from tests.rigs.databases import PostgreSqlServer

Do = Callable[[str], object]

TILL = (
    "CREATE TABLE till (id INTEGER NOT NULL PRIMARY KEY, orders INTEGER NOT NULL)",
    "INSERT INTO till (id, orders) VALUES (1, 0)",
    "INSERT INTO till (id, orders) VALUES (2, 0)",
)
ONE_MORE = "UPDATE till SET orders = orders + 1 WHERE id = "
COUNTS = {
    "postgresql": (
        f"""CREATE OR REPLACE FUNCTION counts() RETURNS trigger LANGUAGE plpgsql
        AS $$ BEGIN {ONE_MORE}1; {ONE_MORE}2; RETURN NEW; END $$""",
        "CREATE TRIGGER counts BEFORE INSERT ON daiko_payments FOR EACH ROW EXECUTE FUNCTION counts()",
    ),
    "firebird": (f"CREATE TRIGGER counts FOR daiko_payments BEFORE INSERT AS BEGIN {ONE_MORE}1; {ONE_MORE}2; END",),
}
"""A rule of the vendor's own: orders are counted, twice, so that two who write can wait for each other."""


class Trouble:
    """One database on a server that nobody else uses; reached over a `wire`, or without one between."""

    def __init__(self, way: str, server: Any, url: str, *, wired: bool, strict: bool) -> None:
        """`strict`: the database wants transactions to be as if one came after the other, and refuses others."""
        self.way, self.server, self.url = way, server, url
        self.wire = Wire(server.port, COMMITS[way]) if wired else None
        self.happened: Counter[str] = Counter()
        self._hangs = False
        """Whether it may serve nobody any more: Firebird 3.0 now and then, after connections were ended."""
        self._over = threading.Event()
        self._under_way: list[threading.Thread] = []
        self._vendor(*TILL, *COUNTS[way])
        if way == "postgresql":
            isolation = "serializable" if strict else "read committed"
            self._vendor(
                "ALTER DATABASE postgres SET deadlock_timeout = '30ms'",
                f"ALTER DATABASE postgres SET default_transaction_isolation = '{isolation}'",
            )

    @property
    def address(self) -> str:
        """Where the driver reaches it."""
        return self.url if self.wire is None else self.url.replace(f":{self.server.port}/", f":{self.wire.port}/")

    def orders(self, reference: str) -> list[Any]:
        """Our rows, as they lie there."""
        what = f"SELECT ticket_no, amount FROM daiko_payments WHERE authorisation_code = '{reference}'"
        return [tuple(row) for row in self._vendor(what)]

    def begin(self, deed: str, after: float, seconds: float, payment: Any) -> None:
        """One of DEEDS, `after` seconds from now."""

        def act() -> None:
            time.sleep(after if deed not in AT_A_COMMIT else 0.0)
            getattr(self, deed)(seconds, payment)

        if self.wire is None:
            deed = AT_A_COMMIT.get(deed, deed)
        self._over.clear()
        self._under_way.append(threading.Thread(target=act))
        self._under_way[-1].start()

    def end(self) -> None:
        """Whatever goes on is over, and the server serves."""
        self._over.set()
        if self.wire is not None:
            self.wire.calm()
        if self._hangs:
            for deed in self._under_way:
                deed.join(1.0)
            self.server.kill()
            self._hangs = False
        for deed in self._under_way:
            deed.join()
        self._under_way.clear()
        self.server.start()

    def close(self) -> None:
        self.end()
        if self.wire is not None:
            self.wire.close()

    # --- what happens to the server -----------------------------------------------------------------------------------

    def cut(self, seconds: float, payment: Any) -> None:
        """Its administrator ends all connections, and starts it anew once it is seen that it hangs."""
        self._hangs = self.way == "firebird"
        with contextlib.suppress(fb.Error):
            self.server.cut(self.url)
        self.happened["all connections ended by the administrator"] += 1

    def killed(self, seconds: float, payment: Any) -> None:
        """It dies as with its computer, and starts again."""
        self.server.kill()
        self._over.wait(seconds)
        self.server.start()
        self.happened["SIGKILL and a new start"] += 1

    def killed_at_commit(self, seconds: float, payment: Any) -> None:
        """It dies while it commits, or before it has answered."""
        if self._at_a_commit(1.0):
            time.sleep(seconds / 20)
            self.server.kill()
            self._over.wait(seconds)
            self.server.start()
            self.happened["SIGKILL between commit and answer"] += 1

    def answer_lost(self, seconds: float, payment: Any) -> None:
        """It commits, and the connection ends before the answer is through."""
        if self._at_a_commit(seconds):
            self.happened["the answer to a commit lost"] += 1

    def _at_a_commit(self, seconds: float) -> bool:
        """Wait for one whose answer gets lost; whether there was one."""
        assert self.wire is not None
        passed = self.wire.lose_answer(seconds)
        while not passed.wait(0.005) and not self._over.is_set():
            pass
        return passed.is_set()

    def frozen(self, seconds: float, payment: Any) -> None:
        """It is there and does nothing."""
        self.server.freeze(True)
        self._over.wait(seconds)
        self.server.freeze(False)
        self.happened["all its processes stopped for a while"] += 1

    # --- what others do in it -----------------------------------------------------------------------------------------

    def held(self, seconds: float, payment: Any) -> None:
        """A transaction of the clerk's keeps the table of orders to itself."""

        def hold(do: Do) -> None:
            if self.way == "postgresql":  # Firebird's has it reserved from its beginning
                do("LOCK TABLE daiko_payments IN SHARE MODE")
            self._over.wait(seconds)
            self.happened["the table of orders locked by another transaction"] += 1

        self._beside(hold, reserves=True)

    def rival(self, seconds: float, payment: Any) -> None:
        """Another transaction takes what ours needs, in the other order: one of the two cannot go on."""

        def take(do: Do) -> None:
            for till in (2, 1):
                do(ONE_MORE + str(till))
                self._over.wait(seconds / 4)
            self.happened["rows that ours needs locked crosswise by another transaction"] += 1

        self._beside(take)

    def twin(self, seconds: float, payment: Any) -> None:
        """A bridge that was replaced, and has woken up again, writes the same order."""
        self._twin(seconds, payment, commits=True)

    def dying_twin(self, seconds: float, payment: Any) -> None:
        """The same, and it dies before it commits."""
        self._twin(seconds, payment, commits=False)

    def _twin(self, seconds: float, payment: Any, *, commits: bool) -> None:
        into = "INSERT INTO daiko_payments (authorisation_code, ticket_no, amount, payment_time) VALUES"

        if payment.amount != payment.due:
            return  # it looks before it writes, as ours does

        def write(do: Do) -> None:
            do(f"{into} ('{payment.reference}', '{payment.ticket}', {payment.amount}, CURRENT_TIMESTAMP)")
            self._over.wait(seconds)
            self.happened[f"the same order written by another{'' if commits else ', and taken back'}"] += 1

        self._beside(write, commits=commits)

    def _beside(self, what: Callable[[Do], None], *, commits: bool = True, reserves: bool = False) -> None:
        """A transaction beside ours. What the database says against it is no concern of ours."""
        with contextlib.suppress(psycopg.Error, fb.Error), contextlib.closing(self._connection()) as connection:
            if self.way == "firebird":
                tpb = fb.TPB(isolation=fb.Isolation.READ_COMMITTED_RECORD_VERSION, lock_timeout=1)
                if reserves:
                    tpb.reserve_table("DAIKO_PAYMENTS", fb.TableShareMode.PROTECTED, fb.TableAccessMode.LOCK_WRITE)
                connection.begin(tpb.get_buffer())
            with contextlib.closing(connection.cursor()) as cursor:
                what(cursor.execute)
            if commits:
                connection.commit()
            else:
                connection.rollback()

    def _connection(self) -> Any:
        return self.server.connect() if self.way == "postgresql" else self.server.connect(self.url)

    def _vendor(self, *statements: str) -> list[Any]:
        """What the host's vendor does in its own database."""
        of = () if isinstance(self.server, PostgreSqlServer) else (self.url,)
        return list(self.server.do(*of, *statements))


DEEDS = ("cut", "killed", "killed_at_commit", "answer_lost", "frozen", "held", "rival", "twin", "dying_twin")
AT_A_COMMIT = {"killed_at_commit": "killed", "answer_lost": "cut"}
"""What waits for our commit, and what happens instead where no wire tells of it."""
