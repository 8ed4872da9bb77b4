"""The sandbox payment provider: a program of its own, with a hosted page, signed webhooks and faults on demand."""
