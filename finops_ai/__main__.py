"""`python -m finops_ai` is the command `finops-ai`."""

from finops_ai.cli import main

if __name__ == "__main__":
    main()
