"""The cloud's clock: read here and nowhere else, and passed on as a function or as `now`."""

from datetime import UTC, datetime


def utc_now() -> datetime:
    """The system's time."""
    return datetime.now(UTC)
