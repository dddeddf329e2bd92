"""`make install`: what goes where, for any prefix."""

import os
import subprocess

from support import BUILT, ROOT


def install(root, **variables):
    subprocess.run([ROOT / "scripts/install"], check=True, env=os.environ | {"BUILD": str(BUILT), "DESTDIR": str(root)} | variables)


def test_programs_units_and_settings_are_put_below_the_prefix(folder):
    install(folder, PREFIX="/opt/tasks", SYSCONFDIR="/opt/tasks/etc")
    prefix = folder / "opt/tasks"
    assert os.access(prefix / "bin/coppice", os.X_OK)
    assert os.access(prefix / "libexec/coppice/drill-worker", os.X_OK)
    unit = (prefix / "lib/systemd/system/coppice-worker@.service").read_text()
    assert "ExecStart=/opt/tasks/bin/coppice worker --config /opt/tasks/etc/coppice/%i.yaml\n" in unit
    assert "/usr/bin" not in unit
    assert (prefix / "lib/systemd/system/coppice.target").exists()
    assert (prefix / "lib/sysusers.d/coppice.conf").exists()
    assert "/opt/tasks/etc/coppice" in (prefix / "lib/tmpfiles.d/coppice.conf").read_text()
    assert "app: /opt/tasks/libexec/coppice/drill-worker\n" in (prefix / "etc/coppice/demo.yaml").read_text()
    assert "coppice" in (prefix / "share/bash-completion/completions/coppice").read_text()
    # Nothing stands outside of it.
    assert os.listdir(folder) == ["opt"]


def test_settings_that_are_there_stay(folder):
    (folder / "etc/coppice").mkdir(parents=True)
    (folder / "etc/coppice/demo.yaml").write_text("version: 1\n")
    install(folder)
    assert (folder / "etc/coppice/demo.yaml").read_text() == "version: 1\n"
    assert (folder / "usr/local/bin/coppice").exists()


def test_the_demo_settings_are_sound(folder):
    install(folder, PREFIX="/usr")
    path = folder / "etc/coppice/demo.yaml"
    path.write_text(path.read_text().replace("/usr/libexec", f"{folder}/usr/libexec").replace("/var/lib/coppice", str(folder)))
    done = subprocess.run(
        [BUILT / "coppice", "worker", "--config", path, "--loglevel", "nonsense"], capture_output=True, text=True, timeout=20)
    # The last thing that is looked at, and the only one that is wrong.
    assert "nonsense" in done.stderr, done.stderr
