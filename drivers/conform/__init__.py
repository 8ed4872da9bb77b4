"""One suite that every driver must pass, with its simulated machine or with the real one (docs/conformance.md)."""
