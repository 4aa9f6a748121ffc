"""`python -m daemon`, and the command `toveis`."""

from daemon.cli import main

if __name__ == "__main__":
    main()
