"""`python -m searchlab` is `searchlab`."""

from searchlab.cli import main

main()
