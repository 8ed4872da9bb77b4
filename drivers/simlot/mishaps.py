"""What may befall a simulated machine: switches and numbers, set at any time; some are used up when they happen."""


class Mishaps:
    """Of one machine; its kinds are the fields of a dataclass of the family's own."""

    def take(self, name: str) -> bool:
        """Whether a mishap is due; a switch is off now, a number one less."""
        due = getattr(self, name)
        if due:
            setattr(self, name, False if isinstance(due, bool) else due - 1)
        return bool(due)
