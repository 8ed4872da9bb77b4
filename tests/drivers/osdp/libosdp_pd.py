"""A PD that we did not write (libosdp), run by a Python of its own: output 0 opens what input 0 shows.

libosdp_pd.py PORT ADDRESS SCBK|-    says `ready`, then a line of JSON for each command that it carries out. The binding
for Python cannot report inputs or outputs: whatever is returned, it answers NAK 09.
"""

import json
import os
import sys
import time

import osdp

PORT, ADDRESS, KEY = sys.argv[1], int(sys.argv[2]), sys.argv[3]
OUTPUTS = [0] * 8
DESCRIPTOR = os.open(PORT, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)


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


def handle(command):
    if command["command"] == osdp.Command.Output:
        OUTPUTS[command["output_no"]] = 1 if command["control_code"] in (2, 4, 5) else 0
        say({key: command[key] for key in ("output_no", "control_code", "timer_count")})
    elif command["command"] == osdp.Command.Status:
        kind = command["type"]
        say({"status": int(kind)})
        return 0, {"command": osdp.Command.Status, "type": kind, "report": bytes(OUTPUTS)}
    else:
        say({"command": command["command"]})
    return 0, None


abilities = osdp.PDCapabilities(
    [
        (osdp.Capability.OutputControl, 1, 8),
        (osdp.Capability.ContactStatusMonitoring, 1, 8),
        (osdp.Capability.CommunicationSecurity, 1, 1),
    ]
)
key = None if KEY == "-" else bytes.fromhex(KEY)
flags = [] if key is None else [osdp.LibFlag.EnforceSecure]
pd = osdp.PeripheralDevice(
    osdp.PDInfo(ADDRESS, Port(), scbk=key, flags=flags),
    abilities,
    log_level=int(os.environ.get("PEER_LOG", "2")),
    command_handler=handle,
)
pd.start()
say("ready")
while True:
    time.sleep(1)
