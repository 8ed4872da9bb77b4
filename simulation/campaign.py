"""Many runs: over several processes, summed up, with a table of how often a person was needed."""

import multiprocessing
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from simulation.faults import Weather
from simulation.machines import NATURE, Kind
from simulation.world import Result, simulate

CHUNK = 250


@dataclass(slots=True)
class Summary:
    """What many runs came to. `broken` holds (seed, promise) of the first hundred broken promises.

    `after_loss` counts what people had to decide because an office PC was lost with its journal.
    """

    seeds: int = 0
    payments: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    struck: Counter[str] = field(default_factory=Counter)
    paid_at: Counter[Kind] = field(default_factory=Counter)
    persons_at: Counter[Kind] = field(default_factory=Counter)
    after_loss: int = 0
    broken: list[tuple[int, str]] = field(default_factory=list)

    def add(self, result: Result) -> None:
        """One run more."""
        self.seeds += 1
        self.payments += result.payments
        self.outcomes += result.outcomes
        self.struck += result.struck
        self.paid_at[result.kind] += result.payments
        self.persons_at[result.kind] += result.persons
        self.after_loss += result.after_loss
        self._break([(result.seed, str(one)) for one in result.broken])

    def merge(self, other: "Summary") -> None:
        """The runs of another process."""
        self.seeds += other.seeds
        self.payments += other.payments
        self.outcomes += other.outcomes
        self.struck += other.struck
        self.paid_at += other.paid_at
        self.persons_at += other.persons_at
        self.after_loss += other.after_loss
        self._break(other.broken)

    def _break(self, found: Sequence[tuple[int, str]]) -> None:
        self.broken += found[: 100 - len(self.broken)]

    def table(self) -> list[str]:
        """How often a person was needed, by way and by what the witness can tell; Markdown."""
        lines = ["| way | witness | payments | a person was needed |", "|---|---|---|---|"]
        for kind in Kind:
            paid, persons = self.paid_at[kind], self.persons_at[kind]
            share = f"{persons / paid:.1%}" if paid else "–"
            lines.append(f"| {kind.value} | {NATURE[kind].witness} | {paid:,} | {share} |")
        return lines


def run_seeds(seeds: range, weather: Weather, kind: Kind | None = None, *, on_disk: bool = False) -> Summary:
    """Runs one after the other, in this process."""
    summary = Summary()
    for seed in seeds:
        summary.add(simulate(seed, weather, kind, on_disk=on_disk))
    return summary


def _chunk(work: tuple[range, Weather, Kind | None, bool]) -> Summary:
    seeds, weather, kind, on_disk = work
    return run_seeds(seeds, weather, kind, on_disk=on_disk)


def campaign(
    seeds: range,
    weather: Weather,
    kind: Kind | None = None,
    jobs: int = 1,
    on_disk: bool = False,
    progress: Callable[[Summary], None] = lambda _: None,
) -> Summary:
    """Runs over `jobs` processes; `progress` sees the sum so far."""
    summary = Summary()
    chunks = [(seeds[at : at + CHUNK], weather, kind, on_disk) for at in range(0, len(seeds), CHUNK)]
    if jobs <= 1:
        for chunk in chunks:
            summary.merge(_chunk(chunk))
            progress(summary)
        return summary
    with multiprocessing.get_context("spawn").Pool(jobs) as pool:
        for part in pool.imap_unordered(_chunk, chunks):
            summary.merge(part)
            progress(summary)
    return summary
