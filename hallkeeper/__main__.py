"""`python -m hallkeeper` is the command line."""

from hallkeeper.cli import main

main()
