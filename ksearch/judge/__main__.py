"""`python -m ksearch.judge [--lifeline FD] [--warm DEVICE]`: judge the jobs on stdin, answer on stdout.

With --lifeline (given by a program that starts the judge for itself) it dies at once when its parent does, and everything
it started with it. Without, the end of stdin ends it once all jobs are answered, so that jobs can be piped in.
"""

from __future__ import annotations

import argparse
import os
import sys

from ksearch.judge.process import die_with_parent, watch_lifeline


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m ksearch.judge")
    parser.add_argument("--lifeline", type=int, help="descriptor of a pipe whose end means that the parent is gone")
    parser.add_argument("--warm", metavar="DEVICE", help="prepare for this device before the first job")
    given = parser.parse_args()
    if given.lifeline is not None:
        die_with_parent(os.getppid())
        watch_lifeline(given.lifeline)
    from ksearch.judge.service import private_stdout, serve

    serve(sys.stdin, private_stdout(), given.warm)


if __name__ == "__main__":
    main()
