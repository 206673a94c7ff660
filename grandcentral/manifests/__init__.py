"""What is wanted and what was: pins, last use, known versions, history of starts."""
