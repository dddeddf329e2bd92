import os
import subprocess
from pathlib import Path

import pytest

from container import Container
from machine import Client, Unit

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture(scope="session")
def package():
    """What `make deb` has made."""
    return Path(os.environ["COPPICE_DEB"]).resolve()


@pytest.fixture(scope="session")
def tree(package):
    """The small Debian of a kind: tree("container")"""

    def make(kind):
        done = subprocess.run([ROOT / "scripts/systemd-tree", kind, package], check=True, text=True, stdout=subprocess.PIPE)
        return Path(done.stdout.strip())

    return make


@pytest.fixture(scope="session")
def bare_machine(package, tree, tmp_path_factory):
    """A Debian in a container, without the package."""
    container = Container(tree("container"), tmp_path_factory.mktemp("container") / "console.log")
    try:
        yield container.start(shared=package.parent)
    finally:
        container.stop()


@pytest.fixture(scope="session")
def machine(bare_machine, package):
    """The package is installed, and nothing of it started."""
    bare_machine.run(f"DEBIAN_FRONTEND=noninteractive dpkg --install /mnt/{package.name}", timeout=120)
    return bare_machine


@pytest.fixture
def worker(machine):
    """Makes units that do not outlive the test: worker("mail", "worker: {…}", Service="WatchdogSec=2"), not started.

    The settings get a broker of their own, a file.
    """
    made = []

    def make(name, settings, **sections):
        machine.write(f"/etc/coppice/{name}.yaml", f"version: 1\nCOPPICE_BROKER_URL: sqlite:////var/lib/coppice/{name}.db\n{settings}\n")
        unit = Unit(machine, f"coppice-worker@{name}")
        unit.client = Client(machine, f"/etc/coppice/{name}.yaml")
        made.append((name, unit))
        if sections:
            unit.configure(**sections)
        return unit

    yield make
    for name, unit in made:
        machine.run(f"systemctl kill --signal=KILL {unit.name}; systemctl stop {unit.name}; systemctl reset-failed {unit.name}", check=False)
        unit.unconfigure()
        machine.run(f"rm -f /etc/coppice/{name}.yaml /var/lib/coppice/{name}.db*")


@pytest.fixture
def demo(machine):
    """coppice-worker@demo as the package brings it, just started."""
    unit = Unit(machine, "coppice-worker@demo")
    unit.client = Client(machine, "/etc/coppice/demo.yaml")
    try:
        unit.order("start")
        yield unit
    finally:
        machine.run(f"systemctl kill --signal=KILL {unit.name}; systemctl stop {unit.name}; systemctl reset-failed {unit.name}", check=False)
        unit.unconfigure()
        machine.run("rm -f /var/lib/coppice/demo.db*")
