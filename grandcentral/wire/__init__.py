"""Parsers of bytes: feed() and an answer. They never touch a transport."""
