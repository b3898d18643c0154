"""`python -m physnet`: the same as the command `physnet`."""

import sys

from physnet.cli import main

if __name__ == "__main__":
    sys.exit(main())
