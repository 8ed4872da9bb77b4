"""Signs of life of long work, on standard error: at once on a terminal, else a line now and then."""

import sys
import time

EVERY = 30.0
"""Seconds between two lines where nobody watches; logs of CI are long enough."""


class SignOfLife:
    """Says how far it is."""

    def __init__(self) -> None:
        self._said = time.monotonic()

    def __call__(self, text: str) -> None:
        """Perhaps say so."""
        if sys.stderr.isatty():
            print(f"\r{text} ", end="", file=sys.stderr, flush=True)
        elif time.monotonic() - self._said >= EVERY:
            self._said = time.monotonic()
            print(text, file=sys.stderr, flush=True)

    def over(self) -> None:
        """End the line of a terminal."""
        if sys.stderr.isatty():
            print(file=sys.stderr)
