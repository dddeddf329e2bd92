"""A worker package of one's own, written, built and installed by README's words, on a host that has no Swift."""

import re
import subprocess
from pathlib import Path

import pytest

from machine import Client, Unit

ROOT = Path(__file__).resolve().parent.parent.parent
README = (ROOT / "README.md").read_text()
BUILD = "swift build -c release --static-swift-stdlib"
INSTALL = "install -D .build/release/shop-worker /usr/local/libexec/shop-worker"


def block(language, words):
    """The one block of README that has these words."""
    [found] = [text for text in re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL) if words in text]
    return found


@pytest.fixture(scope="module")
def shop(package):
    """The package's folder as the container sees it. Each run uses the same one: what was built is there for the next."""
    assert f"    {BUILD}\n    {INSTALL} " in README
    beside = package.parent / "beside"
    sources = beside / "shop/Sources/shop-worker"
    sources.mkdir(parents=True, exist_ok=True)
    if not (beside / "coppice").exists():
        (beside / "coppice").symlink_to(ROOT)
    (beside / "shop/Package.swift").write_text(block("swift", "import PackageDescription"))
    (sources / "Worker.swift").write_text(block("swift", "import CoppiceWorkerProcess"))
    subprocess.run(BUILD.split(), cwd=beside / "shop", check=True, timeout=900)
    return "/mnt/beside/shop"


@pytest.mark.timeout(1000)
def test_a_worker_of_ones_own_runs_under_its_unit(machine, shop):
    machine.run(f"cd {shop} && {INSTALL}")
    settings = block("yaml", "shop-worker")
    broker = re.search(r"COPPICE_BROKER_URL: (.*)", settings)[1]
    machine.write("/etc/coppice/shop.yaml", settings.replace(broker, "sqlite:////var/lib/coppice/shop.db"))
    unit = Unit(machine, "coppice-worker@shop")
    client = Client(machine, "/etc/coppice/shop.yaml")
    try:
        unit.order("enable --now coppice.target")
        assert client.do("example.add", 2, 3) == 5
        assert client.do("data.process", [1, 2, 3]) == {"processed": 3}
        assert unit["ActiveState"] == "active"
    finally:
        machine.run("systemctl disable --now coppice.target coppice-worker@shop; rm -f /etc/coppice/shop.yaml /var/lib/coppice/shop.db*")
