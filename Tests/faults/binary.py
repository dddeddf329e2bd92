"""What may become of the worker's binary while its children run, and one of them dies."""

import os
import shutil

from support import DRILL
from support.waiting import until

from .fault import Fault


def replace_by(make):
    """The binary is `make`'s until the master has found it so."""

    def harm(scene):
        scene.put(make)
        scene.kill_one()
        scene.refused()
        scene.put_good()
        scene.ends()

    return harm


def missing(scene):
    scene.app.unlink()
    scene.kill_one()
    scene.refused()
    scene.put_good()
    scene.ends()


def not_executable(path):
    shutil.copy(DRILL, path)
    path.chmod(0o644)


def wrong_format(path):
    path.write_bytes(b"\x7fELF, but not really")
    path.chmod(0o755)


def never_ready(scene):
    def make(path):
        path.write_text("#!/bin/sh\nexec sleep 600\n")
        path.chmod(0o755)

    scene.put(make)
    scene.kill_one()
    until(lambda: set(scene.worker.children) - set(scene.before), what="the child that is never ready")
    scene.put_good()
    scene.ends()


def replaced(scene):
    scene.put_good()
    new = scene.app.stat().st_ino
    scene.kill_one()
    scene.recover(1)
    (child,) = set(scene.worker.children) - set(scene.before)
    assert os.stat(f"/proc/{child}/exe").st_ino == new, "the new child is of the old binary"


PAUSE = "the others go on; the next attempt after a pause no longer than the fault"

BINARY = [
    Fault("binary", "missing while a child dies", PAUSE, missing, again=1, seconds=2, quick=True),
    Fault("binary", "not executable", "the same", replace_by(not_executable), again=1, seconds=2),
    Fault("binary", "of a wrong format", "the same", replace_by(wrong_format), again=1, seconds=2),
    Fault("binary", "never ready", "the others go on; killed after ten seconds, and tried again", never_ready, again=1, seconds=12),
    Fault("binary", "replaced while children run", "they go on; the next child is of the new one", replaced, again=1, seconds=1.5, quick=True),
]
