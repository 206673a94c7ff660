"""Which versions exist: a registry's tags, a repository's commits."""
