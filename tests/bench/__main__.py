"""``python -m tests.bench``, which is ``make bench``."""

import sys

from tests.bench.running import main

if __name__ == "__main__":
    sys.exit(main())
