"""``make protocol OLD=REVISION``: whether the protocol number must grow."""

import sys

from tests.protocol.running import main

sys.exit(main())
