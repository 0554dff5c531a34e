"""`python -m server.media`: the process that decodes untrusted images and audio."""

import sys

from server.isolation.worker import main
from server.media.jobs import answer, warm_up

main(answer, warm_up, sys.argv[1:])
