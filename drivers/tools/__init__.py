"""An installer's tools, `python -m drivers …` (docs/installers-tools.md)."""
