"""A CP that we did not write (libosdp), run by a Python of its own: an access panel that lights green for each card.

libosdp_cp.py PORT ADDRESS SCBK|-    says a line of JSON for what it sees
"""

import json
import os
import sys
import time

import osdp

PORT, ADDRESS, KEY = sys.argv[1], int(sys.argv[2]), sys.argv[3]
DESCRIPTOR = os.open(PORT, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
CARDS = []


class Port(osdp.Channel):
    def read(self, max_bytes):
        try:
            return os.read(DESCRIPTOR, max_bytes)
        except BlockingIOError:
            return b""

    def write(self, buf):
        return os.write(DESCRIPTOR, bytes(buf))

    def flush(self):
        pass


def say(what):
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


def heard(pd, event):
    if event["event"] == osdp.Event.CardRead:
        CARDS.append({"bits": event["length"], "format": event["format"], "data": event["data"].hex()})
    return 0


key = None if KEY == "-" else bytes.fromhex(KEY)
flags = [] if key is None else [osdp.LibFlag.EnforceSecure]
cp = osdp.ControlPanel(
    [osdp.PDInfo(ADDRESS, Port(), scbk=key, flags=flags)],
    log_level=int(os.environ.get("PEER_LOG", "2")),
    event_handler=heard,
)
cp.start()
while not cp.is_online(ADDRESS):
    time.sleep(0.02)
say({"online": True, "secure": cp.is_sc_active(ADDRESS)})
GREEN = {
    "command": osdp.Command.LED,
    "reader": 0,
    "led_number": 0,
    "temporary": True,
    "control_code": 2,
    "on_count": 5,
    "off_count": 0,
    "on_color": osdp.CommandLEDColor.Green,
    "off_color": osdp.CommandLEDColor.Black,
    "timer_count": 20,
}
while True:
    while CARDS:
        say({"card": CARDS.pop(0)})
        cp.submit_command(ADDRESS, GREEN)
    time.sleep(0.01)
