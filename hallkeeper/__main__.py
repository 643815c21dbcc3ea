"""`python -m hallkeeper` is the command line."""

from hallkeeper.cli import main

if __name__ == "__main__":
    main()
