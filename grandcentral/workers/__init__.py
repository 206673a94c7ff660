"""Worker processes: they own the connections of clients and stacks; the gateway owns the stacks, and them."""
