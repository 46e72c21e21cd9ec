"""``python -m harness`` is ``anonvma``."""

import sys

from harness.cli import main

sys.exit(main())
