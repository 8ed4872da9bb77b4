"""`python -m drivers new NAME`: the skeleton of a driver family (docs/adding-a-driver.md)."""
