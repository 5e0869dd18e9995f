"""What binds a kernel, from launches and counters, in few words: for a person, and as data for whoever plans the next step."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ksearch.definitions.schema import Frozen

TOP_STALLS = 3
IDLE_PCT = 60.0
"""Below this share of every ceiling a kernel is bound by latency, not by throughput: as Nsight Compute's own rule has it."""
MOST_KERNELS = 6


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
    parts = ", ".join(f"{launch.name[:60] or launch.kind} {launch.duration_us:.2f} us" for launch in launches[:MOST_KERNELS])
    more = f" and {len(launches) - MOST_KERNELS} more" if len(launches) > MOST_KERNELS else ""
    noun = "launch" if len(launches) == 1 else "launches"
    return f"{len(launches)} {noun} in {span:.2f} us, {idle:.2f} us ({idle / span:.0%}) idle between them: {parts}{more}"


def _kernel_lines(kernel: KernelCounters) -> Iterator[str]:
    shape = f" ({kernel.grid} blocks of {kernel.block})" if kernel.grid is not None else ""
    yield f"{kernel.name[:80]}{shape}: {verdict_of(kernel)}"
    shares = {"DRAM": kernel.dram_pct, "L2": kernel.l2_pct, "L1": kernel.l1_pct, "SM": kernel.sm_pct, "tensor pipe": kernel.tensor_pct}
    yield "  throughput " + (", ".join(f"{name} {value:.0f} %" for name, value in shares.items() if value is not None) or "not told")
    if kernel.occupancy_pct is not None:
        yield f"  occupancy {kernel.occupancy_pct:.0f} %{_occupancy(kernel)}"
    if kernel.stalls:
        yield "  warps wait for " + ", ".join(f"{stall.reason} {stall.share:.0%}" for stall in kernel.stalls[:TOP_STALLS])


def _occupancy(kernel: KernelCounters) -> str:
    possible = "" if kernel.theoretical_occupancy_pct is None else f" of {kernel.theoretical_occupancy_pct:.0f} % possible"
    waves = "" if kernel.waves is None else f"; {kernel.waves:.2f} waves"
    return possible + (f", limited by {' and '.join(kernel.limiter)}" if kernel.limiter else "") + waves


def verdict_of(kernel: KernelCounters) -> str:
    """Exactly one bottleneck: the ceiling that the kernel is nearest to, or latency where it is near none."""
    memory = {"DRAM bandwidth": kernel.dram_pct, "L2 bandwidth": kernel.l2_pct, "L1 bandwidth": kernel.l1_pct}
    units = {**memory, "arithmetic": kernel.sm_pct}
    known = {name: value for name, value in units.items() if value is not None}
    if not known:
        return "no throughput was told"
    nearest = max(known, key=lambda name: known[name])
    if known[nearest] >= IDLE_PCT:
        return f"bound by {nearest} ({known[nearest]:.0f} % of peak)"
    if kernel.waves is not None and kernel.waves < 0.5:
        return f"bound by latency, and too small to fill the device ({kernel.waves:.2f} waves of blocks)"
    waiting = f", warps waiting for {kernel.stalls[0].reason}" if kernel.stalls else ""
    return f"bound by latency{waiting} (nearest ceiling: {nearest} at {known[nearest]:.0f} %)"
