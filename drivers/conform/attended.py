"""The lot itself: a person at the machine is told what to do, and asked what moved."""

import time
from collections.abc import Callable
from typing import TypeVar

from drivers.conform import answers, prompts
from drivers.conform.subject import Part, Seen, Subject
from drivers.conform.words import Words
from drivers.profile import LotProfile

Ask = Callable[[str], str]
"""Shows a text and returns what the person types. Raises KeyboardInterrupt if they have enough of it."""

T = TypeVar("T")


class Attended:
    """Asks a person; `ask` shows a text and returns the answer."""

    simulated = False

    def __init__(self, profile: LotProfile, ask: Ask, language: str) -> None:
        """`language` is ja or en."""
        self._urls = {device.id: device.url for device in profile.device}
        self._known = answers.names(profile.exit)
        self._shown = ", ".join(
            f"{one.id} ({one.label[language]})" if language in one.label else one.id for one in profile.exit
        )
        self._typed, self._language = ask, language
        self._prices: int | None = None
        self._counts: dict[str, int] = {}

    def url(self, device: str) -> str:
        """As the profile has it."""
        return self._urls[device]

    def car(self, subject: Subject) -> str:
        """Tell the person to bring a customer; asks for the ticket's number where there may be several."""
        self._prices = None
        self._told("car", subject)
        return self._ask(prompts.NAME, subject).strip() if subject.part is Part.HOST else ""

    def price(self, subject: Subject) -> int:
        """Read off the machine, once for each customer; nothing at an exit."""
        if subject.part is Part.EXIT:
            return 0
        if self._prices is None:
            self._prices = self._until(prompts.PRICE, subject, answers.number, prompts.A_NUMBER)
        return self._prices

    def taken(self, subject: Subject, reference: str, *, now: bool) -> int:
        """What the person counts, in total. What they said last still holds before the next order: not asked again."""
        key = {Part.EXIT: subject.place.en, Part.DESK: subject.device.id, Part.HOST: reference}[subject.part]
        if not now and subject.part is Part.HOST:
            return self._counts.setdefault(key, 0)  # nobody has paid under a new reference
        if not now and key not in self._counts:
            self._counts[key] = self._until(prompts.BEFORE[subject.part], subject, answers.number, prompts.A_NUMBER)
        if now:
            self._counts[key] = self._now(subject, reference, self._counts.get(key, 0))
        return self._counts[key]

    def stand_by(self, subject: Subject) -> None:
        """Say what will happen, and wait for the person."""
        self._ask(prompts.STAND_BY[subject.part], subject)

    def watch(self, subject: Subject) -> Seen:
        """By the eyes and the hand of whoever stands there."""
        self._ask(prompts.WATCH[subject.part], subject)
        at = time.monotonic()
        if subject.part is Part.EXIT:
            moved = self._opened(subject)
        else:
            paid = self._until(prompts.PAID, subject, answers.yes, prompts.YES_OR_NO)
            moved = (subject.device.id,) if paid else ()
        return Seen(moved, at if moved else None)

    def cash(self, subject: Subject, name: str) -> None:
        """Have somebody pay."""
        del name  # the person knows
        self._told("cash", subject)

    def cancel(self, subject: Subject) -> None:
        """Have the ticket taken back."""
        self._told("cancel", subject)

    def restart(self, subject: Subject) -> None:
        """Have it switched off and on."""
        self._told("restart", subject)

    def tidy(self, subject: Subject, name: str) -> None:
        """Have everything put right."""
        del name
        self._told("tidy", subject)

    def _opened(self, subject: Subject) -> tuple[str, ...]:
        """The exits that have opened, by their ids; asked until all that is named is known."""
        trouble = ""
        while True:
            found, unknown = answers.named(self._ask(prompts.MOVED, subject, trouble), self._known)
            if not unknown:
                return found
            text = prompts.UNKNOWN.plain(self._language)
            trouble = text.format(unknown=" ".join(unknown), known=self._shown)

    def _now(self, subject: Subject, reference: str, before: int) -> int:
        """A total cannot shrink: asked again, for an answer that belongs to this one test."""
        trouble = ""
        while True:
            count = self._until(
                prompts.NOW[subject.part],
                subject,
                answers.number,
                prompts.A_NUMBER,
                trouble,
                reference=reference,
                before=before,
            )
            if count >= before:
                return count
            trouble = prompts.NOT_LESS.plain(self._language).format(before=before)

    def _told(self, what: str, subject: Subject) -> None:
        if (words := prompts.DO[what].get(subject.part)) is not None:
            ja, en = prompts.DONE.ja, prompts.DONE.en
            self._ask(Words(f"{words.ja} {ja}", f"{words.en} {en}"), subject)

    def _until(
        self,
        text: Words,
        subject: Subject,
        read: Callable[[str], T | None],
        otherwise: Words,
        trouble: str = "",
        **more: object,
    ) -> T:
        """Ask until the answer can be read."""
        while True:
            if (found := read(self._ask(text, subject, trouble, **more))) is not None:
                return found
            trouble = otherwise.plain(self._language)

    def _ask(self, text: Words, subject: Subject, trouble: str = "", **more: object) -> str:
        """`trouble`: why it is asked again; `more` is filled into the text."""
        asked = text.plain(self._language).format(place=subject.place.plain(self._language), **more)
        return self._typed(f"{trouble} {asked}" if trouble else asked)
