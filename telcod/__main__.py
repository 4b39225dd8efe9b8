"""`python -m telcod`, and the command `telcod`."""

from telcod.cli.root import telcod


def main() -> None:
    """Run the command line; ends the process with one of the exit codes of CLI-9."""
    telcod()


if __name__ == "__main__":
    main()
