"""Seeing what the gateway does: its log, as sentences or as JSON."""
