"""What an operator reads: structured logs."""
