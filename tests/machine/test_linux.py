"""What Linux tells of memory and disks, read from directories laid out as it lays them out."""

from __future__ import annotations

from pathlib import Path

import pytest
from twisted.logger import globalLogPublisher
from zope.interface.verify import verifyObject

from grandcentral import events
from grandcentral.core.pressure import Memory
from grandcentral.interfaces import IMachine
from grandcentral.machine import LinuxMachine
from grandcentral.machine.fake import FakeMachine

KIB = 1024
MEMINFO = """MemTotal:       16000000 kB
MemFree:          100000 kB
MemAvailable:   8000000 kB
Buffers:           20000 kB
"""
PLENTY = Memory(16_000_000 * KIB, 8_000_000 * KIB)
UNLIMITED = "9223372036854771712"  # how version 1 says that there is no limit

V1_MOUNTS = "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory\n"
V2_MOUNTS = "31 23 0:28 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"
HYBRID_MOUNTS = (
    "33 31 0:30 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
    + V1_MOUNTS
    + "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n"
)


class Root:
    """A directory that looks like /."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.write("proc/meminfo", MEMINFO)
        self.write("proc/self/cgroup", "")
        self.write("proc/self/mountinfo", "22 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw\n")

    def write(self, name: str, text: str) -> None:
        file = self.path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def v1(self, group: str, limit: int | str, usage: int, cache: int = 0) -> None:
        directory = f"sys/fs/cgroup/memory{group}"
        self.write(f"{directory}/memory.limit_in_bytes", f"{limit}\n")
        self.write(f"{directory}/memory.usage_in_bytes", f"{usage}\n")
        self.write(f"{directory}/memory.stat", f"cache 5\ninactive_file 7\ntotal_cache 9\ntotal_inactive_file {cache}\n")

    def v2(self, group: str, limit: int | str, usage: int, cache: int = 0, high: int | str = "max") -> None:
        directory = f"sys/fs/cgroup{group}"
        self.write(f"{directory}/memory.max", f"{limit}\n")
        self.write(f"{directory}/memory.high", f"{high}\n")
        self.write(f"{directory}/memory.current", f"{usage}\n")
        self.write(f"{directory}/memory.stat", f"anon 3\nactive_file 5\ninactive_file {cache}\nslab 9\n")

    def member_of(self, groups: str, mounts: str) -> None:
        self.write("proc/self/cgroup", groups)
        self.write("proc/self/mountinfo", mounts)

    def machine(self, group: str | None = None) -> LinuxMachine:
        return LinuxMachine([self.path], group, self.path)


@pytest.fixture
def root(tmp_path: Path) -> Root:
    return Root(tmp_path)


@pytest.fixture
def warnings() -> object:
    seen: list[dict] = []

    def observe(event: dict) -> None:
        if event.get("log_format") == events.MACHINE_UNREADABLE:
            seen.append(event)

    globalLogPublisher.addObserver(observe)
    yield seen
    globalLogPublisher.removeObserver(observe)


def test_both_are_machines(root: Root) -> None:
    assert verifyObject(IMachine, root.machine())
    assert verifyObject(IMachine, FakeMachine())


class TestMemory:
    def test_without_control_groups_it_is_what_the_kernel_could_find(self, root: Root) -> None:
        assert root.machine().memory() == PLENTY

    def test_it_is_read_anew_each_time(self, root: Root) -> None:
        machine = root.machine()
        machine.memory()
        root.write("proc/meminfo", MEMINFO.replace("8000000", "7000000"))
        assert machine.memory() == Memory(16_000_000 * KIB, 7_000_000 * KIB)


class TestVersion1:
    GROUPS = "9:memory:/user/gateway\n3:cpu,cpuacct:/user\n1:name=systemd:/init.scope\n"

    def test_our_own_group_bounds_us_less_the_cache_that_it_could_give_back(self, root: Root) -> None:
        root.member_of(self.GROUPS, V1_MOUNTS)
        root.v1("", UNLIMITED, 9_000_000)
        root.v1("/user", UNLIMITED, 9_000_000)
        root.v1("/user/gateway", 1_000_000, 700_000, cache=100_000)
        assert root.machine().memory() == Memory(1_000_000, 400_000)

    def test_so_do_those_around_it(self, root: Root) -> None:
        root.member_of(self.GROUPS, V1_MOUNTS)
        root.v1("/user", 2_000_000, 1_900_000)
        root.v1("/user/gateway", 1_000_000, 100_000)
        assert root.machine().memory() == Memory(1_000_000, 100_000)

    def test_without_limits_nothing_is_bounded(self, root: Root) -> None:
        root.member_of(self.GROUPS, V1_MOUNTS)
        root.v1("/user/gateway", UNLIMITED, 700_000)
        assert root.machine().memory() == PLENTY

    def test_in_a_container_that_sees_its_name_outside(self, root: Root) -> None:
        root.member_of("9:memory:/docker/0123\n", V1_MOUNTS.replace(" / /sys", " /docker/0123 /sys"))
        root.v1("", 1_000_000, 700_000)
        assert root.machine().memory() == Memory(1_000_000, 300_000)


class TestVersion2:
    GROUPS = "0::/system.slice/gateway.service\n"

    def test_our_own_group_bounds_us_less_the_cache_that_it_could_give_back(self, root: Root) -> None:
        root.member_of(self.GROUPS, V2_MOUNTS)
        root.v2("/system.slice", "max", 800_000)
        root.v2("/system.slice/gateway.service", 1_000_000, 700_000, cache=100_000)
        assert root.machine().memory() == Memory(1_000_000, 400_000)

    def test_so_do_those_around_it(self, root: Root) -> None:
        root.member_of(self.GROUPS, V2_MOUNTS)
        root.v2("/system.slice", 1_000_000, 800_000)
        root.v2("/system.slice/gateway.service", "max", 700_000)
        assert root.machine().memory() == Memory(1_000_000, 200_000)

    def test_where_the_kernel_begins_to_slow_down_is_a_limit_too(self, root: Root) -> None:
        root.member_of(self.GROUPS, V2_MOUNTS)
        root.v2("/system.slice/gateway.service", 1_000_000, 700_000, high=900_000)
        assert root.machine().memory() == Memory(900_000, 200_000)

    def test_one_that_is_over_its_limit_has_nothing_left(self, root: Root) -> None:
        root.member_of(self.GROUPS, V2_MOUNTS)
        root.v2("/system.slice/gateway.service", "max", 700_000, high=600_000)
        assert root.machine().memory() == Memory(600_000, 0)

    def test_in_a_container_of_its_own_namespace(self, root: Root) -> None:
        root.member_of("0::/\n", V2_MOUNTS)
        root.v2("", 1_000_000, 700_000)
        assert root.machine().memory() == Memory(1_000_000, 300_000)

    def test_a_group_outside_of_what_can_be_seen_leaves_what_can(self, root: Root) -> None:
        root.member_of("0::/../other\n", V2_MOUNTS)
        root.v2("", 1_000_000, 700_000)
        assert root.machine().memory() == Memory(1_000_000, 300_000)


class TestBothVersions:
    def test_the_one_that_is_about_memory_counts(self, root: Root) -> None:
        root.member_of("9:memory:/gateway\n3:cpu,cpuacct:/\n0::/system.slice/gateway.service\n", HYBRID_MOUNTS)
        root.write("sys/fs/cgroup/unified/system.slice/gateway.service/cgroup.procs", "1\n")
        root.v1("/gateway", 1_000_000, 700_000)
        assert root.machine().memory() == Memory(1_000_000, 300_000)


class TestNamedGroup:
    def test_it_counts_instead_of_our_own(self, root: Root) -> None:
        root.member_of(TestVersion2.GROUPS, V2_MOUNTS)
        root.v2("/system.slice/gateway.service", 500_000, 400_000)
        root.v2("/stacks.slice", 1_000_000, 700_000)
        root.v2("/stacks.slice/docker", "max", 0)
        machine = root.machine("/sys/fs/cgroup/stacks.slice/docker")
        assert machine.memory() == Memory(1_000_000, 300_000)
        machine.bound_by(None)
        assert machine.memory() == Memory(500_000, 100_000)

    def test_one_that_is_not_there_yet_is_said_once_and_counts_when_it_is(self, root: Root, warnings: list[dict]) -> None:
        machine = root.machine("/sys/fs/cgroup/stacks.slice")
        assert machine.memory() == machine.memory() == PLENTY
        assert len(warnings) == 1
        assert "sys/fs/cgroup/stacks.slice" in warnings[0]["why"]
        root.v2("/stacks.slice", 1_000_000, 700_000)
        assert machine.memory() == Memory(1_000_000, 300_000)

    def test_one_that_goes_is_looked_for_again(self, root: Root, warnings: list[dict]) -> None:
        root.v2("/stacks.slice", 1_000_000, 700_000)
        machine = root.machine("/sys/fs/cgroup/stacks.slice")
        machine.memory()
        for file in (root.path / "sys/fs/cgroup/stacks.slice").iterdir():
            file.unlink()
        (root.path / "sys/fs/cgroup/stacks.slice").rmdir()
        assert machine.memory() is None
        assert machine.memory() == PLENTY
        assert len(warnings) == 2


class TestStalls:
    def test_it_is_the_share_of_the_last_ten_seconds_in_which_something_waited(self, root: Root) -> None:
        root.write(
            "proc/pressure/memory",
            "some avg10=23.45 avg60=1.00 avg300=0.00 total=9\nfull avg10=2.00 avg60=0 avg300=0 total=1\n",
        )
        memory = root.machine().memory()
        assert memory is not None
        assert memory.stalled == 23.45


class TestUnreadable:
    def test_what_cannot_be_read_is_said_once_until_it_can(self, root: Root, warnings: list[dict]) -> None:
        machine = root.machine()
        for _ in range(2):
            (root.path / "proc/meminfo").unlink()
            assert machine.memory() is None
            assert machine.memory() is None
            root.write("proc/meminfo", MEMINFO)
            assert machine.memory() == PLENTY
        assert [event["what"] for event in warnings] == ["memory", "memory"]

    def test_a_kernel_that_does_not_say_what_is_available(self, root: Root, warnings: list[dict]) -> None:
        root.write("proc/meminfo", "MemTotal: 16000000 kB\nMemFree: 100 kB\n")
        assert root.machine().memory() is None
        assert "needs Linux 3.14" in warnings[0]["why"]

    def test_a_disk_that_is_not_there(self, root: Root, warnings: list[dict]) -> None:
        assert LinuxMachine([root.path / "nowhere"]).disk_free() is None
        assert "nowhere" in warnings[0]["why"]


class TestThisMachine:
    """Where it runs, whatever that is like."""

    def test_memory(self) -> None:
        memory = LinuxMachine([Path("/")]).memory()
        assert memory is not None
        assert 0 < memory.available <= memory.total
        assert 0.0 <= memory.stalled <= 100.0

    def test_disks(self, tmp_path: Path) -> None:
        free = LinuxMachine([tmp_path]).disk_free()
        assert free is not None
        assert free > 0
        assert LinuxMachine([tmp_path, Path("/proc")]).disk_free() == 0  # the fullest one counts
