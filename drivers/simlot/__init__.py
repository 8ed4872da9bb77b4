"""The simulated lot: cars, bays, gates, cash and time, served to the world as devices on ptys and TCP ports."""
