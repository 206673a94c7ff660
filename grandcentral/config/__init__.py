"""The configuration file: read, checked whole, turned into values."""
