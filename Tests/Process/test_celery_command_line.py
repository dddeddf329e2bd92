"""What a hand types that knows `celery`: each flag of Celery's is taken, or answered with a reason."""

import os

import click
import pytest
from celery.bin.celery import celery
from celery.bin.worker import worker as celery_worker

from support import DRILL


def value(parameter):
    """Something that Celery takes for it."""
    known = {"--autoscale": "10,0", "--logfile": "/dev/null", "--loglevel": "INFO", "--concurrency": "2"}
    for name in parameter.opts:
        if name in known:
            return known[name]
    if isinstance(parameter.type, click.Choice):
        return str(parameter.type.choices[0])
    return "1"


def flags(command):
    """Each name of each flag, with a value where it takes one."""
    return [[name] if parameter.is_flag else [name, value(parameter)]
            for parameter in command.params if isinstance(parameter, click.Option) for name in parameter.opts]  # fmt: skip


def answered(command, arguments):
    """The worker does not start, for want of a broker, or says why it does not take a flag; the lines."""
    done = command.run(*arguments, COPPICE_BROKER_URL="no-broker")
    lines = done.stderr.splitlines()
    assert done.returncode in (2, 64), (done.returncode, done.stderr)
    assert lines and all(line.startswith("coppice: ") for line in lines), done.stderr
    return lines


CELERYS = flags(celery_worker)
GLOBAL = [flag for flag in flags(celery) if flag[0] != "--version"]


def test_celery_has_the_flags_that_this_is_about():
    names = {flag[0] for flag in CELERYS}
    assert len(CELERYS) > 40 and {"-E", "-P", "-O", "--without-gossip", "--without-mingle", "-S", "-D", "-B", "-c"} <= names
    assert ["-A", "1"] in GLOBAL


@pytest.mark.parametrize("flag", CELERYS, ids=" ".join)
def test_each_flag_of_celerys_worker_is_known(command, flag):
    lines = answered(command, ["worker", "-A", DRILL, *flag])
    joined = f"{flag[0]}{'=' if flag[0].startswith('--') else ''}{flag[1]}" if len(flag) == 2 else flag[0]
    assert answered(command, ["worker", "-A", DRILL, joined]) == lines


@pytest.mark.parametrize("flag", GLOBAL, ids=" ".join)
def test_each_flag_before_the_subcommand_is_known(command, flag):
    answered(command, [*flag, "worker"])
    answered(command, [*flag, "status"])


@pytest.mark.parametrize(
    ("flags", "code", "words"),
    [
        (["-P", "gevent"], 2, "child processes"),
        (["-D"], 64, "systemd"),
        (["-B"], 64, "celery -A APP beat"),
        (["--purge"], 64, "coppice purge"),
        (["--uid", "mail"], 64, "--child-user"),
        (["-I", "shop.tasks"], 64, "--app"),
    ],
)
def test_what_is_not_done_here_is_refused_with_what_to_do_instead(command, flags, code, words):
    done = command.run("worker", "-A", DRILL, *flags)
    assert done.returncode == code
    [line] = done.stderr.splitlines()
    assert line.startswith(f"coppice: {flags[0]}") and words in line


def test_celerys_order_and_flags_that_change_nothing_start_a_worker(redis_worker, redis_server, command):
    worker = redis_worker("-E", "-Ofair", "-P", "prefork", "--without-gossip", "-linfo", app=None, node=None, environment={"COPPICE_BROKER_URL": ""})
    worker.command[1:1] = ["-A", DRILL, "-b", redis_server.url(), "-n", "front@%h"]
    worker.ready()
    worker.log.wait(f"front@{os.uname().nodename} ready")
    for flag in ("-E: events are not sent", "-O: ", "-P: ", "--without-gossip: "):
        worker.log.wait(f"coppice: {flag}.*; ignoring")
    assert command.result(command.call("drill.add", 2, 3)) == 5


def test_a_flag_behind_the_subcommand_goes_before_one_in_front_of_it(command):
    done = command.run("-A", "/in-front", "worker", "-A", "/behind")
    assert done.returncode == 2 and "/behind" in done.stderr and "/in-front" not in done.stderr


def test_what_stands_before_a_subcommand_below_another_reaches_it(command):
    done = command.run("-b", "no-broker", "queues", "move", "a", "b")
    assert done.returncode == 2 and "--broker: not a URL" in done.stderr


def test_no_fewer_than_one_child_is_kept(redis_worker):
    worker = redis_worker("--autoscale=10,0", concurrency=None).all_ready(1)
    worker.log.wait("coppice: --autoscale: .* MIN is 1")
    assert len(worker.children) == 1


@pytest.mark.parametrize("arguments", [["statsu"], ["help", "statsu"], ["-A", "x", "statsu"]], ids=" ".join)
def test_a_mistyped_subcommand_is_named_with_those_that_there_are(command, arguments):
    done = command.run(*arguments)
    assert done.returncode == 64
    [line] = done.stderr.splitlines()
    assert "'statsu'" in line and "status" in line


def test_flags_alone_ask_for_a_subcommand(command):
    done = command.run("-A", "x")
    assert done.returncode == 64 and "which subcommand?" in done.stderr
