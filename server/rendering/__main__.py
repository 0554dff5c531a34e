"""`python -m server.rendering`: the process that renders untrusted chat templates."""

import sys

from server.isolation.worker import main
from server.rendering.jobs import answer, warm_up

main(answer, warm_up, sys.argv[1:])
