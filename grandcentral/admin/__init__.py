"""The operator's listener: health, stats, and the stack API."""
