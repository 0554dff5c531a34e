"""`python -m runners --fd N`: the runner process."""

import sys

from runners.engine.process.worker import main

main(sys.argv[1:])
