"""The broker's password stays in the master: not in logs, not in `ps`, not in a child, not for a hostile task of the same user."""

import os
import shutil
import socket
import subprocess

import pytest

from support import COPPICE, DRILL, processes
from support.celery_app import make_app
from support.waiting import until
from support.worker import PLAIN

SECRET = "s3cret-of-redis"


def test_it_is_in_no_log_and_no_banner(redis_worker, app):
    worker = redis_worker("-l", "debug").ready()
    app.send_task("drill.add", (2, 3)).get(timeout=10)
    app.send_task("drill.fail", ("x",)).get(timeout=10, propagate=False)
    worker.stop()
    assert SECRET not in worker.log.text


def test_it_is_in_no_command_line_even_when_given_as_a_flag(workers, redis_server):
    worker = workers("-b", redis_server.url()).ready()
    for pid in (worker.pid, *worker.children):
        assert SECRET not in processes.command_line(pid)


def test_it_is_in_no_childs_environment(workers, redis_server):
    parts = {"CELERY_BROKER": "redis", "REDIS_HOST": "127.0.0.1", "REDIS_PORT": str(redis_server.port), "REDIS_PASSWORD": SECRET,
             "COPPICE_RESULT_BACKEND": redis_server.url(), "CELERY_RABBITMQ_PASSWORD": "s3cret-of-rabbit", "SOME_TOKEN": "t0ken"}  # fmt: skip
    worker = workers(environment=parts).all_ready()
    for child in worker.children:
        environment = processes.environment(child)
        assert not set(parts) & set(environment)
        text = repr(environment)
        assert SECRET not in text and "s3cret-of-rabbit" not in text and "t0ken" not in text
        assert {"PATH", "HOME", "LANG"} <= set(environment)


def test_a_named_variable_reaches_the_child_and_a_brokers_never_does(redis_worker, command):
    worker = redis_worker("--child-env", "SMTP_HOST", environment={"SMTP_HOST": "mail.example"}).ready()
    assert processes.environment(worker.children[0])["SMTP_HOST"] == "mail.example"
    for name in ("REDIS_PASSWORD", "COPPICE_BROKER_URL", "CELERY_RABBITMQ_PASSWORD"):
        done = command.run("worker", "-A", DRILL, "--child-env", name, timeout=10)
        assert 0 < done.returncode < 128
        assert name in done.stderr


@pytest.mark.parametrize("url", ["redis://:hunter2@127.0.0.1:1/0", "redis://:hunter2@", "redis://:hunter2@127.0.0.1:notaport/0", "nosuch://:hunter2@x/0"])
def test_it_is_in_no_error_text(command, url):
    for arguments in (["call", "drill.add", "--args", "[1, 2]"], ["result", "x", "--timeout", "1"], ["revoke", "x"]):
        done = command.run(*arguments, COPPICE_BROKER_URL=url)
        assert done.returncode != 0
        assert "hunter2" not in done.stdout + done.stderr


SPY = """
import ctypes

def attempt(action):
    try:
        return repr(action())
    except OSError as error:
        return "denied: " + type(error).__name__

def read(path):
    with open(path, "rb") as file:
        return file.read(65536)

def memory(pid):
    with open(f"/proc/{pid}/maps") as maps:
        start = int(maps.readline().split("-")[0], 16)
    with open(f"/proc/{pid}/mem", "rb") as file:
        file.seek(start)
        return file.read(64)

def trace(pid):
    libc = ctypes.CDLL(None, use_errno=True)
    # SEIZE, unlike ATTACH, does not stop who is seized.
    if libc.ptrace(0x4206, pid, None, None) != 0:
        raise OSError(ctypes.get_errno(), "ptrace")
    return "attached"

def peek(pid):
    buffer = ctypes.create_string_buffer(16)
    class Vector(ctypes.Structure):
        _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]
    here = Vector(ctypes.addressof(buffer), 16)
    there = Vector(0x400000, 16)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.process_vm_readv(pid, ctypes.byref(here), 1, ctypes.byref(there), 1, 0) < 0:
        number = ctypes.get_errno()
        if number == 14:
            return "reached"
        raise OSError(number, "process_vm_readv")
    return "read"

def borrow(pid):
    libc = ctypes.CDLL(None, use_errno=True)
    process = libc.syscall(434, pid, 0)
    for number in range(40):
        if libc.syscall(438, process, number, 0) >= 0:
            return "borrowed"
    raise OSError(ctypes.get_errno(), "pidfd_getfd")

def spy(args, kwargs):
    parent = os.getppid()
    return {
        "environ": attempt(lambda: read(f"/proc/{parent}/environ")),
        "mem": attempt(lambda: memory(parent)),
        "fd": attempt(lambda: os.listdir(f"/proc/{parent}/fd")),
        "ptrace": attempt(lambda: trace(parent)),
        "process_vm_readv": attempt(lambda: peek(parent)),
        "pidfd_getfd": attempt(lambda: borrow(parent)),
        "user": [os.getuid(), os.stat(f"/proc/{parent}").st_uid],
        "own": sorted(os.environ.items()),
    }

TASKS["spy"] = spy
"""


@pytest.fixture
def as_nobody(folder):
    """What to put before a command so that it has no privilege; nothing where we have none ourselves."""
    if os.geteuid() != 0:
        return ()
    if not shutil.which("setpriv"):
        pytest.skip("no setpriv")
    os.chmod(folder, 0o777)
    return ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all", "--bounding-set=-all")


def test_a_hostile_task_of_the_same_user_finds_nothing(workers, redis_server, folder, python_worker, as_nobody):
    # A copy: the checkout may lie where nobody may look.
    shutil.copy(COPPICE, folder / "coppice")
    worker = workers(app=python_worker(SPY), prefix=as_nobody, environment={"COPPICE_BROKER_URL": redis_server.url()})
    worker.command[worker.command.index(str(COPPICE))] = str(folder / "coppice")
    worker.ready()
    app = make_app(redis_server.url())
    try:
        found = app.send_task("spy").get(timeout=10)
    finally:
        app.close()
    child_user, _ = found.pop("user")
    assert child_user == (65534 if as_nobody else os.getuid())
    assert SECRET not in repr(found.pop("own"))
    assert {way: answer for way, answer in found.items() if not answer.startswith("denied")} == {}


def test_the_spy_would_find_it_in_a_master_that_does_not_hide(folder, python_worker, as_nobody):
    """The test of the test: the same six ways work on a parent that can be inspected."""
    import json
    import subprocess

    path = python_worker(SPY, serve="print(json.dumps(spy([], {})))")
    parent = "import subprocess, sys; subprocess.run([sys.executable, sys.argv[1]], check=True)"
    done = subprocess.run([*as_nobody, "/usr/bin/env", "python3", "-c", parent, str(path)], env=PLAIN | {"SECRET": SECRET},
                          capture_output=True, text=True, timeout=20)  # fmt: skip
    found = json.loads(done.stdout)
    assert SECRET in found["environ"]
    found.pop("own")
    assert {way: answer for way, answer in found.items() if str(answer).startswith("denied")} == {}


def test_the_masters_files_belong_to_root_while_it_runs(worker):
    """What PR_SET_DUMPABLE 0 looks like from outside."""
    until(lambda: os.stat(f"/proc/{worker.pid}/environ").st_uid == 0, what="the kernel's word")


@pytest.mark.parametrize(
    "flags",
    [["result", "x", "-b", "redis://:hunter2@127.0.0.1:{port}/0"], ["result", "x", "-b", "redis://hunter2@127.0.0.1:{port}/0"],
     ["dead", "list", "--broker=sentinel://127.0.0.1:{port}/0?sentinel_password=hunter2&master_name=m"]],
)  # fmt: skip
def test_no_command_shows_it_while_it_runs(flags):
    # A server that says nothing.
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(20)
        port = server.getsockname()[1]
        asking = subprocess.Popen([COPPICE, *(flag.format(port=port) for flag in flags)], env=PLAIN, stderr=subprocess.PIPE)
        try:
            with server.accept()[0]:
                line = processes.command_line(asking.pid)
                assert "hunter2" not in line and "***" in line
        finally:
            asking.kill()
            asking.communicate()


def test_a_url_in_the_wrong_place_is_not_quoted(command):
    for value in ("redis://:hunter2@127.0.0.1/0", "user:hunter2", "hunter2@host"):
        done = command.run("status", COPPICE_BROKER_URL="", CELERY_BROKER=value)
        assert done.returncode == 2 and "CELERY_BROKER" in done.stderr and "hunter2" not in done.stderr
    assert "'kafka'" in command.run("status", COPPICE_BROKER_URL="", CELERY_BROKER="kafka").stderr
