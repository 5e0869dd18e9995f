"""What binds a kernel, from launches and counters, in few words: for a person, and as data for whoever plans the next step."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from ksearch.definitions.schema import Frozen

TOP_STALLS = 3
IDLE_PCT = 60.0
"""Below this share of every ceiling a kernel is bound by latency, not by throughput: as Nsight Compute's own rule has it."""
MOST_KERNELS = 6
L1 = "L1 and shared memory"
WELL_FILLED = 0.5
"""Below this share of the data that its wavefronts could carry, L1's pipe is said to be busy with badly filled ones."""


class Launch(Frozen):
    """One thing that a call did on the device; microseconds, `start_us` after the first one began."""

    kind: str
    name: str
    start_us: float
    duration_us: float


class Stall(Frozen):
    """Why warps waited: `share` of a warp's time between two instructions, 0 to 1."""

    reason: str
    share: float


class KernelCounters(Frozen):
    """Hardware counters of one launch. Percentages are of the peak that the unit can sustain; None where the tool told nothing.

    `sm_pct` is the greater of `instruction_pct` (issue slots and arithmetic pipes) and `memory_instruction_pct` (the queues of loads,
    stores and address operations). `l1_wavefronts_pct` is how busy the pipe of L1 and shared memory is, `l1_data_pct` what its banks
    read and write of what they could. `l1_pct` is of the cycles in which multiprocessors were at work, other throughputs of all cycles.
    `occupancy_limits` are blocks that fit on a multiprocessor by each resource: the smallest is the limiter.
    """

    name: str
    duration_us: float | None = None
    grid: int | None = None
    block: int | None = None
    registers: int | None = None
    static_shared_bytes: int | None = None
    dynamic_shared_bytes: int | None = None
    waves: float | None = None
    dram_pct: float | None = None
    l2_pct: float | None = None
    l1_pct: float | None = None
    sm_pct: float | None = None
    instruction_pct: float | None = None
    memory_instruction_pct: float | None = None
    l1_wavefronts_pct: float | None = None
    l1_data_pct: float | None = None
    tensor_pct: float | None = None
    occupancy_pct: float | None = None
    theoretical_occupancy_pct: float | None = None
    occupancy_limits: tuple[tuple[str, int], ...] = ()
    stalls: tuple[Stall, ...] = ()

    @property
    def limiter(self) -> tuple[str, ...]:
        """Resources that allow the fewest blocks."""
        least = min((blocks for _, blocks in self.occupancy_limits), default=None)
        return tuple(name for name, blocks in self.occupancy_limits if blocks == least)


class Digest(Frozen):
    """Of one workload. `launches` as they ran undisturbed, `kernels` as the profiler saw them one at a time."""

    workload: str
    regime: str
    launches: tuple[Launch, ...] = ()
    kernels: tuple[KernelCounters, ...] = ()

    @property
    def text(self) -> str:
        return "\n".join(lines_of(self))


def lines_of(digest: Digest) -> Iterator[str]:
    if digest.launches:
        yield _launches_line(digest.launches)
    for kernel in sorted(digest.kernels, key=lambda kernel: -(kernel.duration_us or 0.0))[:MOST_KERNELS]:
        yield from _kernel_lines(kernel)


def gaps_us(launches: Sequence[Launch]) -> tuple[float, ...]:
    """Idle time of the device between launches of a call, where one begins after all before it have ended."""
    gaps, busy_until = [], None
    for launch in sorted(launches, key=lambda launch: launch.start_us):
        if busy_until is not None and launch.start_us > busy_until:
            gaps.append(launch.start_us - busy_until)
        busy_until = max(busy_until or 0.0, launch.start_us + launch.duration_us)
    return tuple(gaps)


def _launches_line(launches: Sequence[Launch]) -> str:
    span = max(launch.start_us + launch.duration_us for launch in launches) - min(launch.start_us for launch in launches)
    idle = sum(gaps_us(launches))
    parts = ", ".join(f"{readable(launch.name)[:60] or launch.kind} {launch.duration_us:.2f} us" for launch in launches[:MOST_KERNELS])
    if len(launches) == 1:
        return f"1 launch: {parts}"
    more = f" and {len(launches) - MOST_KERNELS} more" if len(launches) > MOST_KERNELS else ""
    return f"{len(launches)} launches in {span:.2f} us, {idle:.2f} us ({100 * idle / span:.0f} %) idle between them: {parts}{more}"


def readable(name: str) -> str:
    """The function's own name in one that a C++ compiler has mangled (Itanium C++ ABI); other names as they are.

    CUPTI tells names as the linker has them, in which namespaces, one with a hash among them, come first.
    """
    found, rest = "", name.removeprefix("_Z").removeprefix("N") if name.startswith("_Z") else ""
    while length := re.match(r"[1-9][0-9]*", rest):
        start, end = length.end(), length.end() + int(length[0])
        found, rest = rest[start:end], rest[end:]
        if not name.startswith("_ZN"):
            break
    return found or name


def _kernel_lines(kernel: KernelCounters) -> Iterator[str]:
    shape = f" ({kernel.grid} blocks of {kernel.block})" if kernel.grid is not None else ""
    yield f"{kernel.name[:80]}{shape}: {verdict_of(kernel)}"
    shares = {"DRAM": kernel.dram_pct, "L2": kernel.l2_pct, "L1": kernel.l1_pct, "SM": kernel.sm_pct, "tensor pipe": kernel.tensor_pct}
    yield "  throughput " + (", ".join(f"{name} {value:.0f} %" for name, value in shares.items() if value is not None) or "not told")
    if kernel.occupancy_pct is not None:
        yield f"  occupancy {kernel.occupancy_pct:.0f} %{_occupancy(kernel)}"
    if kernel.stalls:
        yield "  warps wait for " + ", ".join(f"{stall.reason} {100 * stall.share:.0f} %" for stall in kernel.stalls[:TOP_STALLS])


def _occupancy(kernel: KernelCounters) -> str:
    possible = "" if kernel.theoretical_occupancy_pct is None else f" of {kernel.theoretical_occupancy_pct:.0f} % possible"
    waves = "" if kernel.waves is None else f"; {kernel.waves:.2f} waves"
    limited = kernel.limiter and (kernel.theoretical_occupancy_pct or 0.0) < 100.0
    return possible + (f", limited by {' and '.join(kernel.limiter)}" if limited else "") + waves


def verdict_of(kernel: KernelCounters) -> str:
    """Exactly one bottleneck: the ceiling that the kernel is nearest to, or latency where it is near none."""
    memory = {"DRAM bandwidth": kernel.dram_pct, "L2 bandwidth": kernel.l2_pct, L1: kernel.l1_pct}
    arithmetic = kernel.sm_pct if kernel.instruction_pct is None else kernel.instruction_pct
    units = {**memory, "arithmetic": arithmetic, "issue of memory instructions": kernel.memory_instruction_pct}
    known = {name: value for name, value in units.items() if value is not None}
    if not known:
        return "no throughput was told"
    nearest = max(known, key=lambda name: known[name])
    if known[nearest] >= IDLE_PCT:
        return f"bound by {nearest} ({known[nearest]:.0f} % of peak){_badly_filled(kernel) if nearest == L1 else ''}"
    if kernel.waves is not None and kernel.waves < 0.5:
        return f"bound by latency, and too small to fill the device ({kernel.waves:.2f} waves of blocks)"
    waiting = f", warps waiting for {kernel.stalls[0].reason}" if kernel.stalls else ""
    return f"bound by latency{waiting} (nearest ceiling: {nearest} at {known[nearest]:.0f} %)"


def _badly_filled(kernel: KernelCounters) -> str:
    """Banks move 128 bytes a cycle, as much as one wavefront can carry: where they move far less, accesses and not bytes fill the pipe."""
    pipe, moved = kernel.l1_wavefronts_pct, kernel.l1_data_pct
    if pipe is None or moved is None or moved >= WELL_FILLED * pipe:
        return ""
    busy = f", its pipe busy {pipe:.0f} % of the time to move {moved:.0f} % of the bytes that it could"
    return f"{busy}: accesses are narrow, scattered or in conflict for banks"
