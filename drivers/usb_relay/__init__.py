"""Exit devices on USB relay boards of the LCUS kind (class C): a gate's "open" input on a dumb relay. See README.md."""
