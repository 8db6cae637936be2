"""`python -m tltool`."""

from tltool.cli import main

main()
