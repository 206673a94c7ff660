"""Bytes from one side to the other: pumps and pools over transports that others open."""
