"""coppice-exec by itself: each step is taken, and one that can't be taken ends it before the worker's first instruction."""

import os
import shutil
import subprocess

import pytest

from support import BUILT, cgroup

TRAMPOLINE = BUILT / "coppice-exec"


def run(*arguments, **options):
    return subprocess.run([str(TRAMPOLINE), *map(str, arguments)], capture_output=True, text=True, timeout=10, **options)


@pytest.mark.parametrize(
    "arguments",
    [(), ("2", "--", "/bin/true"), ("1",), ("1", "--"), ("1", "/bin/true"), ("1", "colour=red", "--", "/bin/true"),
     ("1", "files=", "--", "/bin/true"), ("1", "files=5", "--", "/bin/true"),
     ("1", "data=", "--", "/bin/true"), ("1", "data=-1", "--", "/bin/true"), ("1", "data=99999999999999999999", "--", "/bin/true"),
     ("1", "user=1", "--", "/bin/true"), ("1", "user=1:2:3", "--", "/bin/true"), ("1", "user=1:2", "groups=1,,2", "--", "/bin/true")])  # fmt: skip
def test_arguments_that_it_does_not_know_end_it(arguments):
    done = run(*arguments)
    assert done.returncode == 126
    assert done.stderr.startswith("coppice-exec: ") and done.stderr.count("\n") == 1


def test_a_program_that_is_not_there():
    done = run("1", "--", "/nowhere")
    assert (done.returncode, done.stderr) == (127, "coppice-exec: start /nowhere: No such file or directory\n")


def test_limits_arguments_and_environment_reach_the_program():
    done = run("1", "data=100000000", "processes=5000", "--", "/bin/sh", "-c", "ulimit -d; ulimit -p; echo $0 $NAME", "zero", env={"NAME": "value"})
    assert done.stdout.split("\n")[0] == str(100000000 // 1024)
    assert done.stdout.split("\n")[2] == "zero value"


def test_the_limit_of_files_reaches_the_program():
    done = run("1", "files=300:400", "--", "/bin/sh", "-c", "ulimit -S -n; ulimit -H -n; ls /proc/self/fd | wc -l")
    assert done.stdout.split() == ["300", "400", "4"]


@pytest.mark.skipif(not cgroup.usable(), reason="no cgroup of version 2 that we may divide")
def test_it_enters_a_cgroup_and_keeps_nothing_of_it_open():
    group = cgroup.Group()
    try:
        done = run("1", f"cgroup={group.path}", "--", "/bin/sh", "-c", "cat /proc/self/cgroup; ls /proc/self/fd | wc -l")
        assert f"/{group.path.name}\n4\n" in done.stdout
        for path in ("/proc", f"{group.path}/gone"):
            done = run("1", f"cgroup={path}", "--", "/bin/echo", "started")
            assert (done.returncode, done.stdout, done.stderr) == (126, "", f"coppice-exec: enter {path}: No such file or directory\n")
    finally:
        group.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="root alone may become somebody else")
def test_it_becomes_another_user_with_those_groups_alone():
    done = run("1", "user=61234:61235", "groups=7,61235", "no-new-privileges", "--", "/usr/bin/id")
    assert done.stdout.startswith("uid=61234 gid=61235 groups=61235,7")
    done = run("1", "user=61234:61235", "--", "/bin/grep", "^Groups", "/proc/self/status")
    assert done.stdout.split() == ["Groups:"]


@pytest.mark.skipif(os.geteuid() != 0, reason="takes a user who may not")
def test_who_may_not_become_another_user_is_told_and_starts_nothing():
    done = run("1", "user=0:0", "--", "/bin/echo", "started", user=65534, group=65534, extra_groups=[])
    assert done.returncode == 126 and done.stdout == ""
    assert done.stderr == "coppice-exec: supplementary groups none: Operation not permitted\n"


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("setpriv"), reason="root alone gives a user the right to become others")
def test_a_user_with_the_right_to_become_others_loses_it():
    """The kernel takes capabilities away from who was root; from others coppice-exec must."""
    rights = "+setuid,+setgid,+kill"
    prefix = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", f"--inh-caps={rights}", f"--ambient-caps={rights}"]
    grep = ["--", "/bin/grep", "-E", "^(Uid|CapInh|CapPrm|CapEff|CapAmb)", "/proc/self/status"]

    def status(*command):
        done = subprocess.run([*prefix, *command], capture_output=True, text=True, timeout=10, check=True)
        return {name: value.split() for name, _, value in (line.partition(":") for line in done.stdout.splitlines())}

    before = status(*grep[1:])
    assert before["Uid"][0] == "65534" and before["CapEff"] == ["00000000000000e0"]
    after = status(str(TRAMPOLINE), "1", "user=61234:61234", *grep)
    assert after["Uid"] == ["61234"] * 4
    assert {after[name][0] for name in ("CapInh", "CapPrm", "CapEff", "CapAmb")} == {"0" * 16}
