"""The judge's own adversaries: kernels that cheat in every known way, honest ones that look suspicious, and what becomes of them.

`corpus/` holds them as data, one folder for each operator: `honest.*` is what an operator's cheats are compared with,
`honest_*` must pass, `Hnn_*` exercises hack nn of `hacks.py`. They ship with the program, so that whoever trusts a number
can try the judge that gave it.
"""
