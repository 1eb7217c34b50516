"""finops_ai connector."""
