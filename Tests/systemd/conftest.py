import os
import subprocess
from pathlib import Path

import pytest

from container import Container
from machine import Client, Unit, units

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
    """Makes units that do not outlive the test."""
    with units(machine) as make:
        yield make


@pytest.fixture
def demo(machine):
    """coppice-worker@demo as the package brings it, just started."""
    unit = Unit(machine, "coppice-worker@demo")
    unit.client = Client(machine, "/etc/coppice/demo.yaml")
    try:
        unit.order("start")
        yield unit
    finally:
        unit.end()
        machine.run("rm -f /var/lib/coppice/demo.db*")
