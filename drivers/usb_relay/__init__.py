"""Exit devices on USB relay boards, serial and HID (class C): a gate's "open" input on a dumb relay. See README.md."""
