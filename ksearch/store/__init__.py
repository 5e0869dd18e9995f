"""One run, one SQLite file: an append-only log of events, of which every view of the run is derived."""
