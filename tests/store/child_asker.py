"""A process that puts requests to a run until it is killed: prints each request's number once it stands.

Usage: child_asker.py DATABASE NAME
"""

import sys
from pathlib import Path

from ksearch.store.inbox import put_request
from ksearch.store.requests import Ban

asked = 0
while True:
    asked += 1
    print(put_request(Path(sys.argv[1]), Ban(idea=f"{sys.argv[2]} {asked}"), sys.argv[2]), flush=True)
