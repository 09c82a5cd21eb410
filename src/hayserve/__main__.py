"""`python -m hayserve` is `hayserve`."""

from hayserve.cli.main import main

if __name__ == "__main__":
    main()
