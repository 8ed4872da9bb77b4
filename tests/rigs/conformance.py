"""The conformance suite over the seed lots, hurried: shorter time-outs than in the profiles, else as they are."""

import re
import shutil
from pathlib import Path

import pytest

from drivers import profile
from drivers.conform.bench import Bench
from drivers.conform.cases import CASES, Skip
from drivers.conform.simulated import Simulated
from drivers.conform.subject import subjects

LOTS = Path(__file__).parents[2] / "seeds" / "lots"


def hurried(name, folder, **times):
    """A copy of a seed lot's profile with other times; its tariff beside it.

    `options` are added to the device's; `url` takes the place of its own, where there is one device. `instead` are
    texts of the profile and others in their place.
    """
    text = (LOTS / f"{name}.toml").read_text()
    if url := times.pop("url", None):
        text, found = re.subn(r'(?m)^url = "[^"]*"', f'url = "{url}"', text)
        assert found == 1, name
    for old, new in times.pop("instead", {}).items():
        assert text.count(old) == 1, (name, old)
        text = text.replace(old, new)
    more = "".join(f"{key} = {value}\n" for key, value in times.pop("options", {}).items())
    text = text.replace("[device.options]\n", f"[device.options]\n{more}")
    for key, seconds in times.items():
        text, found = re.subn(rf"(?m)^{key} = [0-9.]+", f"{key} = {seconds}", text)
        assert found, (name, key)
    (folder / "lots").mkdir()
    shutil.copytree(LOTS.parent / "tariffs", folder / "tariffs")
    path = folder / "lots" / f"{name}.toml"
    path.write_text(text)
    return path


class Stage:
    """A simulated lot and a bench at one of its devices."""

    def __init__(self, folder, name, device="", **times):
        path = hurried(name, folder, **times)
        self.lot = Simulated(path, folder)
        try:
            (subject,) = subjects(profile.load(path), device)
            self.bench = Bench(subject, self.lot, folder)
        except BaseException:
            self.lot.close()
            raise

    def run(self, case):
        """What is broken in a case; skips as it does."""
        try:
            broken, _ = CASES[case].run(self.bench)
        except Skip as why:
            pytest.skip(str(why))
        finally:
            self.bench.tidy()
        return broken

    def close(self):
        self.bench.close()
        self.lot.close()
