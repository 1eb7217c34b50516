"""People and the tools they code with: who held what, what it truly cost, what came of it."""
