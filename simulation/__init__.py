"""Drives the shipped decisions (bridge.casebook, bridge.relay, cloud.checkout) through a world full of faults.

One seed is one run, exactly repeatable; an independent checker reads what devices and provider themselves recorded.
"""
