"""What the tests do with a machine that runs a real systemd, whatever it is made of."""

import json
import shlex
import time
from contextlib import contextmanager


def until(holds, what, timeout=20):
    """Waits until something of the test's holds."""
    deadline = time.monotonic() + timeout
    while not holds():
        assert time.monotonic() < deadline, f"not within {timeout} s: {what}"
        time.sleep(0.1)


class Machine:
    """Subclasses have start(shared), stop() and execute(script, timeout) -> (exit code, output)."""

    def run(self, command, *, check=True, timeout=30):
        """Runs a shell command as root; its output, without the last newline."""
        code, output = self.execute(command, timeout)
        assert not check or code == 0, f"{command}: exit code {code}\n{output}"
        return output.rstrip("\n")

    def succeeds(self, command, timeout=30):
        return self.execute(command, timeout)[0] == 0

    def until(self, command, what=None, timeout=20):
        """Waits until a command succeeds; its output."""
        deadline = time.monotonic() + timeout
        while True:
            code, output = self.execute(command, timeout)
            if code == 0:
                return output.rstrip("\n")
            assert time.monotonic() < deadline, f"not within {timeout} s: {what or command}\n{output}"
            time.sleep(0.1)

    def wait_for_boot(self, timeout=60):
        self.until("systemctl is-system-running | grep -E 'running|degraded'", "the boot", timeout)

    def write(self, path, text):
        self.run(f"mkdir -p $(dirname {path}) && printf %s {shlex.quote(text)} > {path}")


class Unit:
    """One systemd unit, as systemctl and the journal show it."""

    def __init__(self, machine, name):
        """`name` without `.service`."""
        self.machine = machine
        self.name = name

    def __getitem__(self, property):
        return self.machine.run(f"systemctl show {self.name} --property={property} --value")

    @property
    def main_pid(self):
        return int(self["MainPID"])

    @property
    def children(self):
        """The pids of the master's children."""
        return [int(pid) for pid in self.machine.run(f"cat /proc/{self.main_pid}/task/{self.main_pid}/children").split()]

    def configure(self, **sections):
        """A drop-in that lasts until `unconfigure`: configure(Service="WatchdogSec=2")"""
        text = "".join(f"[{section}]\n{lines}\n" for section, lines in sections.items())
        self.machine.write(f"/run/systemd/system/{self.name}.service.d/test.conf", text)
        self.machine.run("systemctl daemon-reload")

    def unconfigure(self):
        folder = f"/run/systemd/system/{self.name}.service.d"
        self.machine.run(f"if [ -e {folder} ]; then rm -r {folder}; systemctl daemon-reload; fi")

    def end(self):
        """At once, with nothing of it left in systemd."""
        self.machine.run(f"systemctl kill --signal=KILL {self.name}; systemctl stop {self.name}; systemctl reset-failed {self.name}",
                         check=False)  # fmt: skip
        self.unconfigure()

    def order(self, verb, timeout=60):
        code, output = self.machine.execute(f"systemctl {verb} {self.name}", timeout)
        assert code == 0, f"systemctl {verb}: {output}\n{self.status()}\n{self.log()}"

    def status(self):
        """What an operator sees."""
        return self.machine.run(f"systemctl status --full --no-pager {self.name}", check=False)

    def until(self, property, value, timeout=20):
        self.machine.until(f"test \"$(systemctl show {self.name} --property={property} --value)\" = {shlex.quote(value)}",
                           f"{property}={value} of {self.name}, last: {self[property]}", timeout)  # fmt: skip

    def until_status(self, words, timeout=20):
        """Waits until what the master tells of itself has these words, as `systemctl status` shows it."""
        self.machine.until(f"systemctl status {self.name} | grep -F 'Status: ' | grep -F '{words}'", f"'{words}' in the status", timeout)

    def journal(self, *matches):
        """The unit's records, oldest first, as mappings of their fields."""
        text = self.machine.run(f"journalctl --sync; journalctl --unit={self.name} --output=json --all --no-pager {' '.join(matches)}")
        return [json.loads(line) for line in text.splitlines() if line.startswith("{")]

    def log(self):
        return "\n".join(str(record.get("MESSAGE")) for record in self.journal())


class Client:
    """`coppice` with a worker's settings file, as the worker's user."""

    def __init__(self, machine, settings, user="coppice"):
        self.machine = machine
        self._prefix = f"cd / && runuser -u {user} -- env COPPICE_CONFIG={settings} coppice"

    def command(self, words):
        return self.machine.run(f"{self._prefix} {words}")

    def call(self, task, *args, **flags):
        options = " ".join(f"--{name.replace('_', '-')} {shlex.quote(str(value))}" for name, value in flags.items())
        return self.machine.run(f"{self._prefix} call {task} --args {shlex.quote(json.dumps(args))} {options}")

    def calls(self, task, *args, count):
        """As many calls, in one go; their ids."""
        return self.machine.run(f"for i in $(seq {count}); do {self._prefix} call {task} --args {shlex.quote(json.dumps(args))}; done",
                                timeout=120).split()  # fmt: skip

    @contextmanager
    def sending(self, task, *args):
        """Sends one call after the other while the context lasts; gives a function that tells their ids so far."""
        folder = self.machine.run("mktemp -d")
        call = f"{self._prefix} call {task} --args {shlex.quote(json.dumps(args))} || echo failed"
        self.machine.write(f"{folder}/send", f"until [ -e {folder}/enough ]; do {call}; done\ntouch {folder}/done\n")
        self.machine.run(f"setsid sh {folder}/send >{folder}/ids 2>&1 </dev/null &")
        try:
            yield lambda: self.machine.run(f"cat {folder}/ids").split()
        finally:
            self.machine.run(f"touch {folder}/enough")
            self.machine.until(f"test -e {folder}/done", "the end of the sender")

    def result(self, id, timeout=30):
        return json.loads(self.machine.run(f"{self._prefix} result {id} --timeout {timeout}", timeout=timeout + 10))

    def results(self, ids):
        """Of many, in one go: a list of each one's output, be it a result or a complaint."""
        self.machine.write("/run/ids", " ".join(ids))
        return self.machine.run(f"for id in $(cat /run/ids); do {self._prefix} result $id --timeout 30 2>&1; done",
                                check=False, timeout=120).splitlines()  # fmt: skip

    def failure(self, id, timeout=30):
        code, output = self.machine.execute(f"{self._prefix} result {id} --timeout {timeout}", timeout + 10)
        assert code == 1, f"exit code {code}: {output}"
        return output.strip()

    def until_state(self, id, state, timeout=20):
        """Waits until a task's record has this state."""
        self.machine.until(f"{self._prefix} result {id} --timeout 0 2>&1 | grep -w {state}", f"{state} of {id}", timeout)

    def do(self, task, *args):
        return self.result(self.call(task, *args))


@contextmanager
def units(machine):
    """Makes units that do not outlive the context: make("mail", "worker: {…}", Service="WatchdogSec=2"), not started.

    The settings get a broker of their own, a file.
    """
    made = []

    def make(name, settings, **sections):
        machine.write(f"/etc/coppice/{name}.yaml", f"version: 1\nCOPPICE_BROKER_URL: sqlite:////var/lib/coppice/{name}.db\n{settings}\n")
        unit = Unit(machine, f"coppice-worker@{name}")
        unit.client = Client(machine, f"/etc/coppice/{name}.yaml")
        made.append((name, unit))
        if sections:
            unit.configure(**sections)
        return unit

    try:
        yield make
    finally:
        for name, unit in made:
            unit.end()
            machine.run(f"rm -f /etc/coppice/{name}.yaml /var/lib/coppice/{name}.db*")
