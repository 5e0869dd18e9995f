"""The live page: a small server on the loopback interface, for the person who started it and nobody else."""
