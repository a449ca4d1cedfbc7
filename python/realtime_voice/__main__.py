"""`python -m realtime_voice` is the command `realtime`."""

import sys

from realtime_voice.cli import main

if __name__ == "__main__":
    sys.exit(main())
