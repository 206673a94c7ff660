"""One module for each figure: ``run(options) -> Measured``."""
