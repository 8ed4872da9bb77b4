"""The whole of Daiko on one machine: starts every program as a process of its own and plays the people in the lot.

The same stage serves the demo, the end-to-end tests and the benchmarks. Programs are known by their command lines only.
"""
