"""Readers and controllers on OSDP v2: a device-timed output, or a virtual card reader (facts: SIA OSDP v2.2)."""
