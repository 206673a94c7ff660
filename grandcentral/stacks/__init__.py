"""The stack table and its machines: what runs, who waits, who gives way."""
