"""Open price maps: read as what each of them says, kept as the history of what it said, weighed against each other."""
