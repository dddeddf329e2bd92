"""What may befall the master. Its children die with it, or go on while it can't have new ones."""

import signal
import time

from chaos.producers import EARLY, LATE
from support import processes
from support.waiting import until

from .fault import Fault
from .scene import CHILDREN


def kill(scene):
    for task in (LATE, EARLY):
        scene.busy_child(task)
    scene.begins()
    orphans = scene.worker.kill()
    # As a service manager would.
    scene.start_master()
    until(lambda: not any(map(processes.alive, orphans)), what="the end of the dead master's children")


def stop(scene):
    scene.begins()
    scene.worker.signal(signal.SIGSTOP)
    # Shorter than a lease, and longer than any child may be silent.
    time.sleep(4)
    scene.worker.signal(signal.SIGCONT)
    scene.ends()


def without_descriptors(scene):
    with scene.limited("nofile", 3):
        scene.kill_one()
        scene.refused()
        # What it has it keeps; a connection that it loses it can't open again.
        if scene.broker.direct:
            scene.broker.cut()
        time.sleep(0.5)
    scene.ends()


def without_processes(scene):
    with scene.limited("nproc", 1):
        scene.kill_one()
        scene.refused()
        time.sleep(0.5)
    scene.ends()


MASTER = [
    Fault("master", "SIGKILL, and started again", "its children go with it; what had begun is found when its lease has run out, within ten seconds", kill,
          replaced=CHILDREN, again=CHILDREN, told=CHILDREN, early_again=CHILDREN, seconds=10, quick=True),  # fmt: skip
    Fault("master", "SIGSTOP for four seconds", "kills nobody when it wakes; what was sent meanwhile is caught up with", stop, replaced=0, seconds=4),
    Fault("master", "out of file descriptors, while a child dies and connections are cut",
          "what runs goes on; normal as soon as there are some, after a pause no longer than the fault", without_descriptors,
          again=1, seconds=5),  # fmt: skip
    Fault("master", "fork fails with EAGAIN while a child dies", "the others go on; the next attempt after a pause no longer than the fault",
          without_processes, again=1, seconds=3, as_nobody=True),  # fmt: skip
]
