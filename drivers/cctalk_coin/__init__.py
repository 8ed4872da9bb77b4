"""Coin acceptor or bill validator on ccTalk: a pay station polls it and credits what we show (class B): README.md."""
