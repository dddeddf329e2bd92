"""What the package brings, and what it leaves."""

import pytest

from container import Container
from machine import Client, Unit

DRILL = "worker: {app: /usr/libexec/coppice/drill-worker, concurrency: 1}"


def test_its_programs_need_no_swift(machine):
    for program in machine.run("echo /usr/bin/coppice /usr/libexec/coppice/*").split():
        linked = machine.run(f"ldd {program}", check=False)
        assert "swift" not in linked and "not found" not in linked, (program, linked)


def test_its_files_are_as_they_were_packed(machine):
    assert machine.run("dpkg --verify coppice") == ""


def test_its_units_are_sound(machine):
    assert machine.run("systemd-analyze verify --man=no coppice-worker@demo.service coppice.target 2>&1 | grep -i coppice || true") == ""


def test_it_starts_nothing_by_itself(machine):
    assert machine.run("systemctl is-enabled coppice-worker@demo coppice.target", check=False).split() == ["disabled", "disabled"]


def test_others_do_not_see_settings_and_state(machine):
    assert machine.run("stat -c '%U:%G %a' /etc/coppice /var/lib/coppice").splitlines() == ["root:coppice 750", "coppice:coppice 750"]


def test_the_target_stops_and_starts_all_that_is_enabled(machine, worker):
    units = [worker(name, DRILL) for name in ("one", "two")]
    try:
        machine.run("systemctl enable coppice.target coppice-worker@one coppice-worker@two && systemctl start coppice.target")
        for unit in units:
            unit.until("ActiveState", "active")
        machine.run("systemctl stop coppice.target", timeout=60)
        for unit in units:
            unit.until("ActiveState", "inactive")
    finally:
        machine.run("systemctl disable coppice.target coppice-worker@one coppice-worker@two")


def test_a_broker_that_refuses_the_password_keeps_nobody_from_the_end_of_the_boot(machine, worker):
    unit = worker("refused", DRILL)
    url = "redis://:{}@127.0.0.1:6379/0"
    machine.write("/etc/coppice/refused.yaml", f"version: 1\nCOPPICE_BROKER_URL: {url.format('wrong')}\n{DRILL}\n")
    redis = ["redis-server", "--port", "6379", "--bind", "127.0.0.1", "--save", "", "--maxmemory-policy", "noeviction", "--requirepass", "right"]
    try:
        with machine.neighbour(*redis):
            # As at a boot: what stands between the machine and this target is done once more.
            machine.run("systemctl enable coppice.target coppice-worker@refused && systemctl stop multi-user.target coppice.target")
            machine.run("systemctl start multi-user.target", timeout=30)
            assert machine.run("systemctl is-active multi-user.target coppice.target").split() == ["active", "active"]
            unit.until("ActiveState", "activating")
            # The other way round it is as it was: a stop of the target waits for what runs.
            machine.run("systemctl stop coppice.target", timeout=60)
            machine.write("/etc/coppice/refused.yaml", f"version: 1\nCOPPICE_BROKER_URL: {url.format('right')}\n{DRILL}\n")
            machine.run("systemctl start coppice.target")
            unit.until("ActiveState", "active")
            id = unit.client.call("drill.sleep", 3)
            unit.client.until_state(id, "STARTED")
            machine.run("systemctl stop coppice.target", timeout=60)
            assert unit["ActiveState"] == "inactive" and unit.client.result(id, timeout=1) == 3
    finally:
        machine.run("systemctl disable coppice.target coppice-worker@refused")


@pytest.fixture
def second_machine(package, tree, tmp_path):
    """A container of the test's own, with the package."""
    container = Container(tree("container"), tmp_path / "console.log")
    try:
        container.start(shared=package.parent)
        container.run(f"dpkg --install /mnt/{package.name}", timeout=120)
        yield container
    finally:
        container.stop()


def test_an_upgrade_restarts_workers_and_keeps_settings_and_removal_leaves_what_is_the_administrators(second_machine, package):
    machine = second_machine
    unit = Unit(machine, "coppice-worker@demo")
    unit.client = Client(machine, "/etc/coppice/demo.yaml")
    machine.run("sed -i 's/concurrency: 2/concurrency: 1/' /etc/coppice/demo.yaml")
    machine.run("systemctl enable coppice.target coppice-worker@demo")
    unit.order("start")
    before = unit.main_pid
    running = unit.client.call("drill.sleep", 2)
    unit.client.until_state(running, "STARTED")
    machine.run(f"dpkg --install /mnt/{package.name}", timeout=120)
    machine.until(f"test \"$(systemctl show {unit.name} --property=MainPID --value)\" != {before}", "the restart")
    unit.until("ActiveState", "active")
    assert unit.client.result(running) == 2
    assert len(unit.children) == 1

    machine.run("dpkg --remove coppice", timeout=120)
    assert unit["ActiveState"] == "inactive"
    assert machine.succeeds("test -e /etc/coppice/demo.yaml -a -e /var/lib/coppice/demo.db")
    machine.run("dpkg --purge coppice", timeout=120)
    assert not machine.succeeds("test -e /etc/coppice -o -e /var/lib/coppice")
    # Not even as links that lead nowhere.
    assert machine.run("find /etc/systemd -name 'coppice*'") == ""
