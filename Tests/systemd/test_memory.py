"""Memory, where the kernel has cgroup v2's memory controller: a whole machine."""

import pytest

from machine import Client, Unit
from virtual_machine import VirtualMachine

# A processor that is emulated is ten times slower, and everybody else's work slows it further.
pytestmark = [pytest.mark.vm, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def vm(package, tree, tmp_path_factory):
    """A virtual machine with the package."""
    log = tmp_path_factory.mktemp("vm") / "console.log"
    machine = VirtualMachine(tree("vm"), log)
    try:
        machine.start(shared=package)
        # A disk has whole blocks.
        machine.run(f"head -c {package.stat().st_size} /dev/vdb > /run/coppice.deb && dpkg --install /run/coppice.deb", timeout=300)
        yield machine
    finally:
        machine.stop()


def test_a_child_that_eats_its_memory_dies_alone(vm):
    vm.write("/etc/coppice/memory.yaml", "version: 1\nCOPPICE_BROKER_URL: sqlite:////var/lib/coppice/memory.db\n"
             "worker: {app: /usr/libexec/coppice/drill-worker, concurrency: 2, child-memory: 64M}\n")  # fmt: skip
    unit = Unit(vm, "coppice-worker@memory")
    unit.client = Client(vm, "/etc/coppice/memory.yaml")
    unit.order("start", timeout=180)
    unit.until_status("2/2 children ready", timeout=60)
    master, children = unit.main_pid, unit.children
    sibling = unit.client.call("drill.sleep", 8)
    unit.client.until_state(sibling, "STARTED", timeout=60)
    hog = unit.client.call("drill.eat", 256, 60)
    assert "memory" in unit.client.failure(hog, timeout=60)
    assert unit.client.result(sibling, timeout=60) == 8
    unit.until_status("2/2 children ready", timeout=60)
    assert unit["ActiveState"] == "active" and unit["NRestarts"] == "0" and unit.main_pid == master
    # One of the two is the one that was there before.
    assert len(set(children) & set(unit.children)) == 1
    assert vm.succeeds("journalctl --dmesg | grep -i 'oom-kill:constraint=CONSTRAINT_MEMCG'")
    assert unit.client.do("drill.add", 2, 3) == 5
