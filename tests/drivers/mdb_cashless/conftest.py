"""Builds pay stations with our reader behind them, and takes them down."""

import contextlib

import pytest

from tests.rigs.mdb_station import Rig


@pytest.fixture
def rig(tmp_path):
    """Builds rigs and takes them down."""
    with contextlib.ExitStack() as stack:

        def build(**more):
            made = Rig(tmp_path, **more)
            stack.callback(made.stop)
            return made

        yield build
