"""What may become of the worker's binary while its children run, one of them dies, and a reload is asked for."""

import os
import shutil
import signal

from support import DRILL

from .fault import Fault
from .scene import CHILDREN


def spoiled(spoil):
    """Another child comes from the file that was there before; the reload finds what is there now, and changes nothing."""

    def harm(scene):
        spoil(scene)
        scene.kill_one()
        scene.recover(1)
        scene.worker.signal(signal.SIGHUP)
        scene.worker.log.wait("The reload failed", timeout=20)

    return harm


def replace_by(make):
    return spoiled(lambda scene: scene.put(make))


def not_executable(path):
    shutil.copy(DRILL, path)
    path.chmod(0o644)


def wrong_format(path):
    path.write_bytes(b"\x7fELF, but not really")
    path.chmod(0o755)


def never_ready(path):
    path.write_text("#!/bin/sh\nexec sleep 600\n")
    path.chmod(0o755)


def replaced(scene):
    scene.put_good()
    new = scene.app.stat().st_ino
    scene.kill_one()
    scene.recover(1)
    scene.worker.signal(signal.SIGHUP)
    scene.worker.log.wait("Reloaded: all", timeout=20)
    scene.recover(CHILDREN)
    assert {os.stat(f"/proc/{child}/exe").st_ino for child in scene.worker.children} == {new}, "not all children are of the new binary"


KEPT = "a dead child is replaced by the one that was there before; a reload fails, says so, and changes nothing"

BINARY = [
    Fault("binary", "missing when a child dies and at a reload", KEPT, spoiled(lambda scene: scene.app.unlink()), again=1, seconds=2, quick=True),
    Fault("binary", "not executable", "the same", replace_by(not_executable), again=1, seconds=2),
    Fault("binary", "of a wrong format", "the same", replace_by(wrong_format), again=1, seconds=2),
    Fault("binary", "never ready", "the same", replace_by(never_ready), again=1, seconds=13),
    Fault("binary", "replaced while children run", "they go on; a reload brings the new one to all of them, one by one", replaced,
          replaced=CHILDREN, again=1, seconds=5, quick=True),  # fmt: skip
]
