"""`python -m local` is the `facet` command."""

from local.cli import main

if __name__ == "__main__":
    main()
