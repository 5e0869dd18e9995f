"""What the hardware allows a kernel (bounds) and what binds it (compile reports, counters)."""
