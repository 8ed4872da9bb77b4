"""The words that cloud, bridge, drivers and console share.

No I/O, no clock, no threads. A module enters only when two top-level packages already need it; at most ten modules.
"""
