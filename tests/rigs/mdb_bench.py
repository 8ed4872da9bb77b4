"""A simulated pay station in one piece: controller and adapter joined directly, in a time that is passed in."""

from drivers.mdb_cashless.simbox import Box
from drivers.mdb_cashless.simmachine import Machine


class Bench:
    """Machine, bus and adapter of one pay station; the same code as in sim.py and simprogram.py, without processes."""

    def __init__(self, station, options, faults):
        self.faults, self._options = faults, options
        self._machine = Machine(station, options, faults)
        self.lose_power()

    def falters(self):
        """Whether the adapter loses its power, and its line with it, now or still."""
        return self.faults.take("restart") or self._box.dead or self.faults.unplugged

    def lose_power(self):
        """The adapter forgets everything; the controller does not."""
        self._box = Box(self._options.amounts, self._options.spoken, self.faults)
        self._answered = b""

    def poll_nobody(self, now):
        """The controller goes on polling while there is no adapter."""
        self._machine.turn(None, now)

    def cycle(self, heard, now):
        """What the adapter is told, one exchange on the bus, and what the adapter says."""
        self._box.hear_line(heard)
        while self._box.held:
            self._machine.approval_held(self, now)
        self._machine.turn(self, now)
        if self.faults.restart:  # it dies before it can say what it has just heard on the bus
            return b""
        return self._box.say()

    # --- the bus, which is as fast as it can be ---------------------------------------------------------------------

    def ask(self, raw, seconds):
        self._answered = b""
        self.put(raw)

    def put(self, raw):
        self._answered += self._box.hear_bus(raw)

    def hear(self):
        heard, self._answered = self._answered, b""
        return heard

    def heed(self):
        self._box.heed()
