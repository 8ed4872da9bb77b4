"""`python -m tests.rigs.later_cloud DAYS …`: the cloud's program, so many days later, by its clock alone."""

import sys
import time
from datetime import datetime, timedelta

from cloud import app, clock
from cloud.__main__ import main

days, now, build, seconds = timedelta(days=int(sys.argv[1])), clock.utc_now, app.build, time.time


def later() -> datetime:
    return now() + days


clock.utc_now = later
app.build = lambda *parts: build(*parts, later)
time.time = lambda: seconds() + days.total_seconds()  # for the `Date` of its answers, which the bridge goes by
sys.exit(main(sys.argv[2:]))
