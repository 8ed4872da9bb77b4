"""A CP that we did not write (osdp 1.6, pure Python), run by a Python of its own.

osdp_cp.py PORT ADDRESS MASTERKEY|- panel    says a line of JSON for each card, and lights green
osdp_cp.py PORT ADDRESS MASTERKEY|- reads    reads identity, inputs and outputs, and switches output 0 on for 0.5 s
"""

import json
import sys
import time

import osdp

PORT, ADDRESS, KEY, TASK = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]


def say(what):
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


class Panel(osdp.ControlPanel):
    def __init__(self, key):
        super().__init__(key)
        self.cards = []

    def on_raw_card_data_reply_received(self, address, raw_card_data):
        self.cards.append({"bits": raw_card_data.bit_count, "data": raw_card_data.data.hex()})


panel = Panel(None if KEY == "-" else bytes.fromhex(KEY))
bus = panel.start_connection(osdp.SerialPortOsdpConnection(port=PORT, baud_rate=9600))
panel.add_device(bus, ADDRESS, True, KEY != "-")
device = panel._buses[bus]._configured_devices[ADDRESS]
while not panel.is_online(bus, ADDRESS) or (KEY != "-" and not device.is_security_established):
    time.sleep(0.02)
say({"online": True, "secure": device.is_security_established})
if TASK == "reads":
    say({"vendor": str(panel.id_report(bus, ADDRESS).vendor_code)})
    say({"inputs": list(panel.input_status(bus, ADDRESS).statuses)})
    say({"outputs": list(panel.output_status(bus, ADDRESS).statuses)})
    control = osdp.OutputControl(0, osdp.OutputControlCode.TemporaryStateOnResumePermanentState, 5)
    say({"taken": panel.output_control(bus, ADDRESS, osdp.OutputControls([control]))})
    say({"outputs": list(panel.output_status(bus, ADDRESS).statuses)})
GREEN = osdp.ReaderLedControl(
    0,
    0,
    osdp.TemporaryReaderControlCode.SetTemporaryAndStartTimer,
    5,
    0,
    osdp.LedColor.Green,
    osdp.LedColor.Black,
    20,
    osdp.PermanentReaderControlCode.Nop,
    0,
    0,
    osdp.LedColor.Black,
    osdp.LedColor.Black,
)
while True:
    while panel.cards:
        say({"card": panel.cards.pop(0)})
        panel.reader_led_control(bus, ADDRESS, osdp.ReaderLedControls([GREEN]))
    time.sleep(0.01)
