"""A process that writes a run until it is killed: prints each event's number once its append has returned.

Usage: child_writer.py DATABASE [--hold]: with --hold it opens the log, prints "open" and waits.
"""

import json
import sys
import time
from pathlib import Path

from ksearch.store.log import EventLog, EventRow

with EventLog.open_writer(Path(sys.argv[1])) as log:
    print("open", flush=True)
    while "--hold" in sys.argv:
        time.sleep(60)
    while True:
        due = log.last_seq + 1
        events = [EventRow("tick", json.dumps({"n": due, "text": "x" * (due % 700)}))]
        seq = log.append(events, durable=due % 3 == 0, blobs=[b"blob of %d" % due])
        print(seq, flush=True)
