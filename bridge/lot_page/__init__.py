"""A tiny page in the lot's own network; off unless `[lot_page] listen` is given (ADR 0019)."""
