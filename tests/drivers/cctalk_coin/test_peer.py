"""Our bytes, read by a stranger: the npm package @serialport/parser-cctalk cuts and checks what both sides say."""

import json
import shutil
import subprocess

import pytest

from drivers.cctalk_coin.codec import Check, Codec, Frame
from drivers.cctalk_coin.headers import Header

PACKAGE = "@serialport/parser-cctalk@13"
PROGRAM = """
const { CCTalkParser } = require('@serialport/parser-cctalk');
const parser = new CCTalkParser();
parser.on('data', frame => process.stdout.write(Buffer.from(frame).toString('hex') + '\\n'));
for (const piece of JSON.parse(process.argv[2])) parser.write(Buffer.from(piece, 'hex'));
parser.end();
"""


@pytest.fixture(scope="module")
def stranger(tmp_path_factory):
    """Runs the package over pieces of bytes; returns the frames that it found."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip("node and npm are not installed: the stranger's parser cannot be run")
    folder = tmp_path_factory.mktemp("parser")
    (folder / "package.json").write_text('{"name": "peer", "private": true}')
    install = [npm, "install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefer-offline", PACKAGE]
    try:
        done = subprocess.run(install, cwd=folder, capture_output=True, text=True, timeout=100, check=False)
    except subprocess.TimeoutExpired:
        pytest.skip(f"npm did not install {PACKAGE} in time")
    if done.returncode:
        pytest.skip(f"npm cannot install {PACKAGE}: {done.stderr.strip()[-200:]}")
    (folder / "peer.js").write_text(PROGRAM)

    def run(pieces):
        words = [node, str(folder / "peer.js"), json.dumps([piece.hex() for piece in pieces])]
        said = subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=30, check=True)
        return [bytes.fromhex(one) for one in said.stdout.split()]

    return run


@pytest.mark.timeout(150)
@pytest.mark.parametrize(("accepts", "yen"), [("coins", 500), ("bills", 3000)])
def test_it_reads_all_that_both_sides_say_in_a_payment(stranger, timed, accepts, yen):
    """Frames only, of either device: it knows neither what they mean nor the CRC."""
    line = timed(echo=False, accepts=accepts, checksum="sum")
    asked = []
    step = line.host.step

    def noted(now):
        raw = step(now)
        if raw:
            asked.append((now, raw))
        return raw

    line.host.step = noted
    line.settle(line.ask(yen), 3000)
    talk = [raw for _, raw in sorted([*asked, *line.said], key=lambda one: one[0])]
    assert len(talk) > 50
    assert stranger(talk) == talk
    assert stranger([bytes((byte,)) for byte in b"".join(talk)]) == talk


@pytest.mark.timeout(150)
@pytest.mark.parametrize("size", [0, 1, 11, 250])
def test_it_reads_frames_of_any_length(stranger, size):
    raw = Codec(Check.SUM, None).encode(Frame(2, Header.CREDIT, bytes(range(size))))
    assert stranger([raw]) == [raw]
