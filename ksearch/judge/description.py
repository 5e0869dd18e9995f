"""What a judge elsewhere says of itself before it is believed: its version, and the devices it can measure on."""

from __future__ import annotations

from ksearch.definitions.schema import Frozen
from ksearch.devices import Device, cpu, gpus
from ksearch.errors import BadInput
from ksearch.judge.verdict import JUDGE_VERSION


class DeviceFacts(Frozen):
    """A device as jobs name it: 'cpu' or 'cuda:0'; `arch` as 'sm_90', None on cpu."""

    spec: str
    name: str
    arch: str | None


class Description(Frozen):
    judge_version: str
    devices: tuple[DeviceFacts, ...]

    def device(self, wanted: str, whose: str, remedy: str = "install the same ksearch there") -> Device:
        """As `devices.resolve`, of the machine described. Raises BadInput, also for a judge of another version."""
        if self.judge_version != JUDGE_VERSION:
            raise BadInput(f"{whose}: its judge has version {self.judge_version}, this one {JUDGE_VERSION}; {remedy}")
        cuda = [facts for facts in self.devices if facts.spec != "cpu"]
        first = "cpu" if wanted == "auto" and not cuda else "cuda:0" if wanted in ("auto", "cuda") else wanted
        for facts in self.devices:
            if facts.spec == first:
                return Device(facts.spec, facts.name, facts.arch)
        have = ", ".join(f"{facts.spec} ({facts.name})" for facts in self.devices)
        raise BadInput(f"--device {wanted}: {whose} has {have}")


def describe() -> Description:
    """This machine."""
    found = (cpu(), *gpus())
    return Description(judge_version=JUDGE_VERSION, devices=tuple(DeviceFacts(spec=d.spec, name=d.name, arch=d.arch) for d in found))
