"""A child that eats memory: with the kernel's memory controller, which takes a machine of its own, and without."""

import shutil
import subprocess

import pytest

from machine import units
from virtual_machine import VirtualMachine


@pytest.fixture(scope="module")
def vm(package, tree, tmp_path_factory):
    """A virtual machine with the package."""
    folder = tmp_path_factory.mktemp("vm")
    # Here it takes a second to unpack, there a minute.
    plain = folder / "coppice.deb"
    subprocess.run(["dpkg-deb", "--raw-extract", package, folder / "package"], check=True)
    subprocess.run(["dpkg-deb", "-Znone", "--build", folder / "package", plain], check=True, stdout=subprocess.DEVNULL)
    shutil.rmtree(folder / "package")
    machine = VirtualMachine(tree("vm"), folder / "console.log")
    try:
        machine.start(shared=plain)
        # A disk has whole blocks.
        machine.run(f"head -c {plain.stat().st_size} /dev/vdb > /var/tmp/coppice.deb && "
                    "dpkg --force-unsafe-io --install /var/tmp/coppice.deb", timeout=600)  # fmt: skip
        yield machine
    finally:
        machine.stop()


def eats_and_dies_alone(worker):
    """A child that goes over its limit dies, and neither its sibling nor the master notices; why it died, as the result tells it."""
    unit = worker("memory", "worker: {app: /usr/libexec/coppice/drill-worker, concurrency: 2, child-memory: 64M}")
    unit.order("start", timeout=180)
    unit.until_status("2/2 children ready", timeout=60)
    master, children = unit.main_pid, unit.children
    sibling = unit.client.call("drill.sleep", 8)
    unit.client.until_state(sibling, "STARTED", timeout=60)
    reason = unit.client.failure(unit.client.call("drill.eat", 256, 60), timeout=60)
    assert unit.client.result(sibling, timeout=60) == 8
    unit.until_status("2/2 children ready", timeout=60)
    assert unit["ActiveState"] == "active" and unit["NRestarts"] == "0" and unit.main_pid == master
    # One of the two is the one that was there before.
    assert len(set(children) & set(unit.children)) == 1
    assert unit.client.do("drill.add", 2, 3) == 5
    return reason


def test_where_there_is_no_memory_controller_a_child_that_eats_its_memory_dies_alone(worker):
    eats_and_dies_alone(worker)


# A processor that is emulated is ten times slower, and everybody else's work slows it further.
@pytest.mark.vm
@pytest.mark.timeout(1500)
def test_the_kernel_kills_a_child_that_eats_its_memory_and_the_result_says_so(vm):
    with units(vm) as worker:
        assert "its cgroup was out of memory" in eats_and_dies_alone(worker)
    assert vm.succeeds("journalctl --dmesg | grep -i 'oom-kill:constraint=CONSTRAINT_MEMCG'")


@pytest.mark.vm
@pytest.mark.timeout(1500)
def test_the_kernel_holds_a_child_to_its_limits(vm):
    with units(vm) as worker:
        unit = worker("limits", "worker: {app: /usr/libexec/coppice/drill-worker, concurrency: 1, "
                                "child-cpu: 50, child-pids: 16, child-memory: 64M}")  # fmt: skip
        unit.order("start", timeout=180)
        unit.until_status("1/1 children ready", timeout=60)
        master, group = unit.main_pid, vm.run(f"sed -n s/^0:://p /proc/{unit.children[0]}/cgroup")
        assert "/slot-1." in group

        def setting(file):
            return vm.run(f"cat '/sys/fs/cgroup{group}/{file}'")

        assert [setting(file) for file in ("cpu.max", "pids.max", "memory.max", "memory.oom.group")] == ["50000 100000", "16", str(64 << 20), "1"]
        # Each leaves a process behind, until there are too many.
        outcomes = unit.client.results(unit.client.calls("drill.fork", 600, count=16))
        assert outcomes[0].isdigit() and "Resource temporarily unavailable" in outcomes[-1], outcomes
        assert setting("pids.current") == "16" and setting("pids.events") != "max 0"
        assert unit["ActiveState"] == "active" and unit.main_pid == master
