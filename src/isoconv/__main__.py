"""`python -m isoconv`: the command line of the Python that is asked."""

from isoconv.cli import main

if __name__ == "__main__":
    main()
