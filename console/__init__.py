"""The operator console: a Qt window for the attendant. Knows the bridge by parking.desk messages only."""
