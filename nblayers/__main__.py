"""`python -m nblayers` is the command `nblayers`."""
import sys

from nblayers.cli import main

if __name__ == "__main__":
    sys.exit(main())
