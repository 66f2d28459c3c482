"""Recording one real run: what it computed (recorder), what Python it ran (purity), what it read (guards), live numbers (live)."""
