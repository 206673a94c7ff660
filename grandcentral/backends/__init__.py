"""Where stacks run: memory (the fake), static, process, docker."""
