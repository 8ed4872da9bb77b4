"""Cashless reader of a pay station on an MDB/ICP bus, behind an adapter of text lines (class A). See README.md."""
