"""`python -m ksearch` is the `ksearch` command."""

from ksearch.cli.main import main

main()
