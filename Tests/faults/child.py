"""What a child may do, or have done to it. Its task gets its verdict or runs again, its slot gets another child, the rest notices nothing."""

import signal

from chaos.verdict import final
from support.waiting import until

from .fault import Fault

LOST, DONE = ("FAILURE", "WorkerLostError"), ("SUCCESS", None)
# Three beats.
SILENCE = 3.0


def hit(number):
    return lambda scene: scene.signal_busy(number)


def misbehave(task, *arguments, ends=(LOST,)):
    return lambda scene: scene.send_culprit(task, *arguments, ends=ends)


def flood(scene):
    id = scene.send_culprit("drill.babble", 2.0, ends=(DONE,))
    until(lambda: final(scene.broker.results([id]).get(id)), what="the end of the flood", every=0.05)


def fill_disk(scene):
    # The master's log lies there; or the broker itself, where it is a file.
    folder = scene.disk.folder if scene.broker.name == "sqlite" else scene.small_disk.folder
    scene.send_culprit("drill.fill", str(folder), 1.0, ends=(DONE,))
    filler = folder / "filler"
    until(filler.exists, what="the full disk")
    until(lambda: not filler.exists(), what="room again")
    scene.ends()


CHILD = [
    Fault("child", "SIGKILL", "its task gets its verdict or runs again at once; a new child within a second", hit(signal.SIGKILL),
          replaced=2, again=1, told=1, seconds=1.5, quick=True),  # fmt: skip
    Fault("child", "SIGSEGV", "the same", hit(signal.SIGSEGV), replaced=2, again=1, told=1, seconds=1.5),
    Fault("child", "SIGSTOP", "found within three beats; then the same", hit(signal.SIGSTOP), replaced=2, again=1, told=1,
          seconds=SILENCE + 1.5, quick=True),  # fmt: skip
    Fault("child", "exits with 0 in the middle of a task", "the same as a kill", misbehave("drill.exit", 0), seconds=1.5),
    Fault("child", "closes its pipe and goes on", "it can report nothing more: replaced within two seconds", misbehave("drill.hangup", 60.0),
          seconds=2.5),  # fmt: skip
    Fault("child", "floods the pipe for two seconds", "holds up nobody, and lives", flood, replaced=0, seconds=0.5, quick=True),
    Fault("child", "sends a bad frame", "killed and replaced at once", misbehave("drill.garble", 60.0), seconds=1.5, quick=True),
    # The clock starts with the fault, the ten seconds with the next task that is given to this child: at this load that may take some, too.
    Fault("child", "never reads", "what it has not begun ten seconds after it was given it runs elsewhere; it is replaced",
          misbehave("drill.deaf", ends=(DONE,)), seconds=20),  # fmt: skip
    Fault("child", "dies, and a grandchild holds its pipes", "the same as a kill, whoever holds them", misbehave("drill.orphan", 8.0),
          seconds=1.5, quick=True),  # fmt: skip
    Fault("child", "eats memory beyond `--child-memory`", "dies alone, as by a kill", misbehave("drill.eat", 1000, 10.0),
          flags=("--child-memory", "256M"), seconds=1.5, quick=True),  # fmt: skip
    Fault("child", "fills the disk for a second", "waited for; normal within seconds of there being room", fill_disk, replaced=0, seconds=3,
          logs_to_disk=True),  # fmt: skip
]
