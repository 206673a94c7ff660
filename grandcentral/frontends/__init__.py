"""Front doors: what a client talks to."""
