"""Drivers: one folder per legacy family (codec, driver, simulator), behind the small Protocols of `drivers.base`."""
