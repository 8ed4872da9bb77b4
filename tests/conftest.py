"""What holds for all tests."""

import signal
from typing import Final

import pytest
from hypothesis import HealthCheck, settings

LONG: Final = (
    "tests/e2e/",
    "tests/contract/",
    "tests/faults/",
    "tests/simulation/",
    "tests/mutants/",
    "tests/bridge/",
    "tests/fuzz/",
)


def pytest_configure() -> None:
    """Programs that tests start can be ended by Ctrl-C also where the tests run in the background of a script."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("busy")  # none of these tests is about time, and the computer may be busy


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that take long begin first, in random order as ever: at the end no processor waits for one of them."""
    items.sort(key=lambda item: next((n for n, folder in enumerate(LONG) if item.nodeid.startswith(folder)), len(LONG)))
