"""`python -m drivers ports | families | probe`: what is plugged in, what this program knows, and what answers."""

import argparse
import dataclasses
import sys
import time
from typing import Final
from urllib.parse import urlsplit

import msgspec

from drivers import registry
from drivers.base import Finding
from drivers.language import Phrases
from drivers.ports import SerialPort, hid_boards
from drivers.ports import ports as serial_ports
from drivers.tools.arguments import add_language, positive
from drivers.tools.texts import TEXTS, remark
from parking.errors import Code, Environment

NOTHING_ANSWERED: Final = 1
EXAMPLES: Final = {
    "": "COM3 or /dev/ttyUSB0",
    "socket": "socket://192.168.1.50:502",
    "rfc2217": "rfc2217://192.168.1.50:4001",
    "spy": "spy:///dev/ttyUSB0",
    "listen": "listen://0.0.0.0:20007",
    "hid": "hid://16c0:05df",
    "http": "http://192.168.1.10:7101",
    "https": "https://host.example",
    "sqlite": "sqlite:///srv/host/lot.db",
    "postgresql": "postgresql://user@192.168.1.10/lot",
    "firebird": "firebird://user@192.168.1.10/lot",
    "folder": "folder:///srv/handover",
}
"""How an address of each scheme is written."""
_CHECKS: Final = {
    "socket": "socket",
    "http": "web",
    "https": "web",
    "sqlite": "path",
    "folder": "path",
    "postgresql": "database",
    "firebird": "database",
    "listen": "listen",
    "hid": "hid",
}
"""Which advice fits where nothing answered; serial ports have their own."""


def ports(arguments: argparse.Namespace) -> int:
    """List the serial ports and HID relay boards of this computer, who has them, and what is missing to open them."""
    there = serial_ports() + hid_boards()
    say = Phrases(TEXTS, arguments.lang)
    if arguments.json:
        print(msgspec.json.encode(there).decode())
    elif there:
        print("\n".join(port_lines(port, say) for port in there))
    else:
        print(say("ports.none"), file=sys.stderr)
    return 0 if there else NOTHING_ANSWERED


def port_lines(port: SerialPort, say: Phrases) -> str:
    """A port in a few lines for people."""
    usb = " ".join(part for part in (port.vid_pid, port.serial_number) if part)
    lines = [f"{port.url}  {port.description}" + (f"  [{usb}]" if usb else "")]
    lines += [say("ports.stable", name=port.stable)] if port.stable else []
    lines += [say("ports.held", program=port.held_by)] if port.held_by else []
    if port.group:
        lines.append(say("ports.group", group=port.group))
    elif port.hint:
        lines.append(say("ports.forbidden", remedy=port.hint.partition(": ")[2]).rstrip())
    return "\n".join(lines)


def families(arguments: argparse.Namespace) -> int:
    """Tell which kinds of machine this program knows, and by which addresses each is reached."""
    rows = [
        {"family": name, "summary": dict(known.summary), "schemes": sorted(known.schemes)}
        for name, known in registry.FAMILIES.items()
    ]
    if arguments.json:
        print(msgspec.json.encode(rows).decode())
    else:
        print(summaries(arguments.lang))
    return 0


def summaries(language: str) -> str:
    """Each family and what it is, a line each."""
    return "\n".join(f"  {name:<14} {known.summary[language]}" for name, known in registry.FAMILIES.items())


def probe(arguments: argparse.Namespace) -> int:
    """Ask the families that could speak at a URL, until one answers; nothing is changed there."""
    names = [arguments.family] if arguments.family else list(registry.families_for(arguments.url))
    if not names:
        known = sorted({scheme for one in registry.FAMILIES.values() for scheme in one.schemes})
        raise Environment(
            Code.CONFIG,
            f"no driver family speaks at {arguments.url!r}",
            f"write it like {', '.join(EXAMPLES[scheme] for scheme in known)}",
        )
    say = Phrases(TEXTS, arguments.lang)
    told: list[tuple[str, Finding]] = []
    for at, name in enumerate(names, 1):
        known_family = registry.family(name)
        if arguments.json:
            print(f"asking {name} {at}/{len(names)}", file=sys.stderr, flush=True)
        else:
            key = "probe.listening" if known_family.listens else "probe.asking"
            summary = known_family.summary[say.language]
            asked = say(key, family=name, summary=summary, at=at, of=len(names), seconds=arguments.seconds)
            print(asked, file=sys.stderr, flush=True)
        finding = known_family.module().probe(arguments.url, time.monotonic() + arguments.seconds)
        told.append((name, finding))
        if not arguments.json:
            print(finding_lines(name, finding, say), flush=True)
        if finding.answered:
            break  # one device a line: nobody else will answer there
    answered = told[-1][1].answered
    if arguments.json:
        print(msgspec.json.encode([{"family": name, **dataclasses.asdict(one)} for name, one in told]).decode())
    elif not answered:
        scheme = urlsplit(arguments.url).scheme.lower() if "://" in arguments.url else ""
        print(say(f"probe.check.{_CHECKS.get(scheme, 'serial')}"), file=sys.stderr)
    return 0 if answered else NOTHING_ANSWERED


def finding_lines(family: str, finding: Finding, say: Phrases) -> str:
    """What one family found."""
    identity = remark(finding.identity, say.language)
    hints = [remark(hint, say.language) for hint in finding.hints]
    if not finding.answered:
        return say("probe.no_answer", family=family, detail="; ".join(part for part in (identity, *hints) if part))
    lines = [say("probe.found", family=family, identity=identity), *(f"    {hint}" for hint in hints)]
    return "\n".join([*lines, say("probe.options", family=family)])


def add_ports(command: argparse.ArgumentParser) -> None:
    """The command line of `ports`."""
    command.add_argument("--json", action="store_true", help="for programs")
    add_language(command)
    command.set_defaults(run=ports)


def add_families(command: argparse.ArgumentParser) -> None:
    """The command line of `families`."""
    command.add_argument("--json", action="store_true", help="for programs")
    add_language(command)
    command.set_defaults(run=families)


def add_probe(command: argparse.ArgumentParser) -> None:
    """The command line of `probe`; its help tells by which addresses each family is reached."""
    rows = "\n".join(
        f"  {name:<14} {', '.join(EXAMPLES[scheme] for scheme in sorted(known.schemes))}"
        for name, known in registry.FAMILIES.items()
    )
    command.epilog = f"addresses of each family:\n{rows}"
    command.formatter_class = argparse.RawDescriptionHelpFormatter
    command.add_argument("url", help="the address to ask at, as below")
    command.add_argument("--family", help="ask as this family only: on a shared line another one's question is noise")
    command.add_argument("--seconds", type=positive, default=10.0, help="how long each family may try (default 10)")
    command.add_argument("--json", action="store_true", help="for programs; who is asked is told on standard error")
    add_language(command)
    command.set_defaults(run=probe)
