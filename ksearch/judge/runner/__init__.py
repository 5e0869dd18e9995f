"""The untrusted side: one-use processes that load one candidate each and call it when told to.

Nothing here decides anything. What a runner answers is a claim; results are the bytes it leaves in shared memory.
"""
