"""`python -m console --bridge DIR`: the attendant's window."""

import sys

from console.app import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
