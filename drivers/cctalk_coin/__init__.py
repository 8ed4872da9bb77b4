"""A coin acceptor on ccTalk: a pay station polls it, payments are credited as coins (class B). See README.md."""
