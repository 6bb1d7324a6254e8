"""`python -m keystead`."""

from keystead.cli.main import main

main()
