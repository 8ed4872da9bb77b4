"""How the sandbox provider misbehaves on demand: for one payment, or for all. Values and look-ups; no I/O."""

from dataclasses import dataclass, field

from cloud.sandbox.wire import Behaviour, Wish


@dataclass(slots=True)
class Faults:
    """What is wished of one payment, or of all."""

    slow: float = 0.0
    lose_webhook: bool = False
    repeat_webhook: int = 0
    reorder: bool = False
    fail_capture_once: bool = False
    lose_reply_once: bool = False
    decision: Behaviour = Behaviour.NORMAL


@dataclass(slots=True)
class Conduct:
    """Faults for everything, and for single payments by their ref."""

    everywhere: Faults = field(default_factory=Faults)
    single: dict[str, Faults] = field(default_factory=dict)

    def wish(self, wish: Wish, ref: str = "") -> None:
        """Take a wish on; `normal` takes all earlier ones back."""
        if wish.behave is Behaviour.NORMAL:
            self.everywhere, self.single = (self.everywhere, self._without(ref)) if ref else (Faults(), {})
            return
        faults = self.single.setdefault(ref, Faults()) if ref else self.everywhere
        match wish.behave:
            case Behaviour.SLOW:
                faults.slow = wish.seconds
            case Behaviour.REPEAT_WEBHOOK:
                faults.repeat_webhook = wish.times
            case Behaviour.LOSE_WEBHOOK | Behaviour.REORDER | Behaviour.FAIL_CAPTURE_ONCE | Behaviour.LOSE_REPLY_ONCE:
                setattr(faults, wish.behave.value, True)
            case _:
                faults.decision = wish.behave

    def seconds(self, ref: str) -> float:
        """By how much replies about this payment are delayed."""
        return max(each.slow for each in self._of(ref))

    def loses_webhook(self, ref: str) -> bool:
        """Whether webhooks about this payment get lost."""
        return any(each.lose_webhook for each in self._of(ref))

    def repeats(self, ref: str) -> int:
        """How many times more a webhook about this payment is sent."""
        return max(each.repeat_webhook for each in self._of(ref))

    def reorders(self, ref: str) -> bool:
        """Whether webhooks about this payment wait for the next one and follow it."""
        return any(each.reorder for each in self._of(ref))

    def decision(self, ref: str) -> Behaviour:
        """What happens to a new payment without anybody pressing a button."""
        chosen = [each.decision for each in self._of(ref) if each.decision is not Behaviour.NORMAL]
        return chosen[0] if chosen else Behaviour.NORMAL

    def takes_once(self, ref: str, behaviour: Behaviour) -> bool:
        """Whether a one-time fault strikes now; it is used up by asking."""
        for each in self._of(ref):
            if getattr(each, behaviour.value):
                setattr(each, behaviour.value, False)
                return True
        return False

    def _of(self, ref: str) -> tuple[Faults, ...]:
        own = self.single.get(ref)
        return (own, self.everywhere) if own else (self.everywhere,)

    def _without(self, ref: str) -> dict[str, Faults]:
        return {other: faults for other, faults in self.single.items() if other != ref}
