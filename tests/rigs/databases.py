"""Database servers that tests start: processes of their own, unprivileged, on a free port of 127.0.0.1.

Neither is ours: what a driver is told by them is what it will be told in a lot.
"""

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

USER, PASSWORD = "daiko", "open sesame"
PATIENCE = 25.0


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


class Server:
    """A server with its folder. `start` and `stop` may be repeated; `end` removes everything."""

    def __init__(self, name: str) -> None:
        memory = "/dev/shm" if Path("/dev/shm").is_dir() else None  # else a busy disk holds up each commit
        self.folder = Path(tempfile.mkdtemp(prefix=f"daiko-{name}-", dir=memory))
        self.port = _free_port()
        self._process: subprocess.Popen[bytes] | None = None
        nobody = pwd.getpwnam("nobody")
        self.ids = {"user": nobody.pw_uid, "group": nobody.pw_gid} if os.geteuid() == 0 else {}
        if self.ids:
            os.chown(self.folder, nobody.pw_uid, nobody.pw_gid)
        self.env = {"PATH": os.environ["PATH"], "HOME": str(self.folder), "LC_ALL": "C.UTF-8"}

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def run(self, *arguments: str, told: str = "") -> None:
        """A program of the server's, as its user."""
        subprocess.run(
            arguments, input=told.encode(), cwd=self.folder, env=self.env, check=True, capture_output=True, **self.ids
        )

    def launch(self, *arguments: str) -> None:
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                arguments, cwd=self.folder, env=self.env, stdin=subprocess.DEVNULL, stdout=log, stderr=log, **self.ids
            )
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until and self._process.poll() is None:
            with contextlib.suppress(Exception):
                self.greet()
                return
            time.sleep(0.02)
        raise RuntimeError((self.folder / "log").read_text(errors="replace")[-2000:])

    def greet(self) -> None:
        """Raises while the server does not serve yet."""
        raise NotImplementedError

    at_once = signal.SIGQUIT

    def stop(self, how: signal.Signals | None = None) -> None:
        """End the process: at once, without a word to those who are connected."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            self._process.send_signal(how or self.at_once)
            self._process.wait(PATIENCE)
            self._process = None

    def processes(self) -> list[int]:
        """The server's own, and its children's ids."""
        listed = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        return [self.pid, *map(int, listed)]

    def freeze(self, on: bool) -> None:
        """It is there and does nothing, like a computer that swaps; False: it goes on."""
        for process in self.processes():
            with contextlib.suppress(ProcessLookupError):  # it has ended meanwhile
                os.kill(process, signal.SIGSTOP if on else signal.SIGCONT)

    def kill(self) -> None:
        """As when the computer dies: nothing is said and nothing tidied up. May be repeated."""
        if self._process is None:
            return
        os.kill(self.pid, signal.SIGSTOP)  # it must not see its children die, and have no more of them
        while _state(self.pid) not in "TZ":
            time.sleep(0.001)
        gone = self.processes()
        for process in reversed(gone):
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        self._process.wait(PATIENCE)
        self._process = None
        while any(_state(process) != "Z" for process in gone):
            time.sleep(0.001)

    def cut(self, url: str) -> None:
        """What its administrator can do: all connections to that database end in the midst of whatever they do."""
        raise NotImplementedError

    def end(self) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


def _state(process: int) -> str:
    """As ps shows it: T is stopped; Z has ended, also if nobody knows it any more."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return "Z"


class PostgreSqlServer(Server):
    def __init__(self, programs: Path) -> None:
        super().__init__("postgresql")
        self._programs = programs
        secret = self.folder / "secret"
        secret.write_text(PASSWORD)
        secret.chmod(0o644)
        words = ("--auth=scram-sha-256", f"--pwfile={secret}", f"--username={USER}", "--no-sync", "--encoding=UTF8")
        self.run(str(programs / "initdb"), "-D", str(self.folder / "data"), *words, "--locale=C")
        self.start()

    @property
    def url(self) -> str:
        return f"postgresql://{USER}@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        settings = ("fsync=off", "listen_addresses=127.0.0.1", f"unix_socket_directories={self.folder}")
        options = [word for setting in settings for word in ("-c", setting)]
        where = ("-D", str(self.folder / "data"), "-p", str(self.port))
        if self._process is None:
            self.launch(str(self._programs / "postgres"), *where, *options)

    def greet(self) -> None:
        self.connect().close()

    def connect(self) -> Any:
        import psycopg

        return psycopg.connect(self.url, password=PASSWORD, connect_timeout=5)

    def do(self, *statements: str) -> list[Any]:
        """Statements as the host's vendor gives them; returns the rows of the last."""
        with self.connect() as connection:
            for statement in statements:
                done = connection.execute(statement)
            return done.fetchall() if done.description else []

    def cut(self, url: str) -> None:
        del url  # there is but one database
        self.do(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )

    def empty(self) -> str:
        """The address of a database without tables."""
        self.do("DROP SCHEMA public CASCADE", "CREATE SCHEMA public")
        return self.url


class FirebirdServer(Server):
    at_once = signal.SIGKILL  # SIGQUIT it may sit out for ever

    def __init__(self, program: Path) -> None:
        from firebird.driver import get_api

        get_api()  # loaded by one thread: those who come while it is being loaded find half of it
        super().__init__("firebird")
        self._program = program
        self._made = 0
        # without encryption a test can see a commit go by
        (self.folder / "firebird.conf").write_text(
            f"RemoteServicePort = {self.port}\nRemoteBindAddress = 127.0.0.1\n"
            f"SecurityDatabase = {self.folder}/security.fdb\nWireCrypt = Disabled\n"
        )
        (self.folder / "databases.conf").write_text("")
        self.env |= {"FIREBIRD": str(self.folder), "FIREBIRD_LOCK": str(self.folder)}
        self.run(
            *("isql-fb", "-q", "-user", "SYSDBA"),
            told=f"CREATE DATABASE '{self.folder}/security.fdb';\nCREATE USER {USER} PASSWORD '{PASSWORD}';\n"
            f"CREATE USER SYSDBA PASSWORD '{PASSWORD}';\n"
            f"CREATE DATABASE '{self.folder}/empty.fdb' DEFAULT CHARACTER SET UTF8;\n",
        )
        self.run("gfix", "-write", "async", "-user", "SYSDBA", str(self.folder / "empty.fdb"))
        self.start()

    def start(self) -> None:
        if self._process is None:
            self.launch(str(self._program))

    def greet(self) -> None:
        socket.create_connection(("127.0.0.1", self.port), 1).close()

    def connect(self, url: str) -> Any:
        from firebird.driver import connect

        path = url.rpartition(":")[2].partition("/")[2]
        return connect(f"127.0.0.1/{self.port}:{path}", user="SYSDBA", password=PASSWORD, charset="UTF8")

    def do(self, url: str, *statements: str) -> list[Any]:
        """Statements as the host's vendor gives them, each in a transaction; returns the rows of the last."""
        found: list[Any] = []
        with contextlib.closing(self.connect(url)) as connection:
            for statement in statements:
                with contextlib.closing(connection.cursor()) as cursor:
                    cursor.execute(statement)
                    found = cursor.fetchall() if cursor.description else []
                connection.commit()
        return found

    def cut(self, url: str) -> None:
        self.do(url, "DELETE FROM MON$ATTACHMENTS WHERE MON$REMOTE_PID > 0 AND MON$ATTACHMENT_ID <> CURRENT_CONNECTION")

    def empty(self) -> str:
        """The address of a database without tables."""
        self._made += 1
        file = self.folder / f"lot{self._made}.fdb"
        shutil.copy(self.folder / "empty.fdb", file)
        if self.ids:
            os.chown(file, self.ids["user"], self.ids["group"])
        return f"firebird://SYSDBA@127.0.0.1:{self.port}/{file}"


def postgresql() -> Iterator[PostgreSqlServer]:
    """A running server; skips where there is none to be had."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    if not found:
        pytest.skip("postgresql is not installed")
    yield from _ended(PostgreSqlServer(found[-1].parent))


def firebird() -> Iterator[FirebirdServer]:
    """A running server; skips where there is none to be had."""
    program = Path("/usr/sbin/firebird")
    if not program.exists():
        pytest.skip("firebird is not installed")
    yield from _ended(FirebirdServer(program))


def _ended(server: Any) -> Iterator[Any]:
    try:
        yield server
    finally:
        server.end()
