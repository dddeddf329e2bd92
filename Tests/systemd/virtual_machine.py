"""A whole Debian with a kernel of its own, for what a container has not: cgroup v2 with all its controllers, and the OOM killer."""

import base64
import select
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from machine import Machine


class VirtualMachine(Machine):
    """qemu without KVM, which works wherever the tests do. The disk stays as it is: `-snapshot`.

    Commands go to a root shell on the second serial line (scripts/systemd-tree): base64 of a script in, exit code and base64 of
    its output out.
    """

    def __init__(self, folder, log, megabytes=768):
        self.log = log
        self._folder = folder
        self._megabytes = megabytes
        self._qemu = None
        self._shell = None
        self._heard = b""

    def start(self, shared):
        """Boots. `shared` is a file of the host, which the machine sees as the disk /dev/vdb."""
        with tempfile.TemporaryDirectory(prefix="coppice-vm-") as folder:
            place = f"{folder}/shell"
            command = ["qemu-system-x86_64", "-accel", "tcg,thread=multi", "-smp", "2", "-m", str(self._megabytes), "-nographic",
                       "-no-reboot", "-nic", "none", "-kernel", self._folder / "kernel", "-initrd", self._folder / "initrd",
                       "-append", "root=/dev/vda rw console=ttyS0 quiet mitigations=off no_timer_check panic=-1",
                       "-snapshot", "-drive", f"file={self._folder / 'disk'},format=raw,if=virtio,cache=unsafe",
                       "-drive", f"file={shared},format=raw,if=virtio,readonly=on",
                       "-serial", "stdio", "-monitor", "none",
                       "-chardev", f"socket,id=shell,path={place},server=on,wait=off", "-serial", "chardev:shell"]  # fmt: skip
            with open(self.log, "wb") as log:
                self._qemu = subprocess.Popen(
                    command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
            deadline = time.monotonic() + 20
            while not Path(place).exists():
                assert self._qemu.poll() is None and time.monotonic() < deadline, f"qemu has not started: {self._console()}"
                time.sleep(0.05)
            self._shell = socket.socket(socket.AF_UNIX)
            self._shell.connect(place)
        assert self._line(timeout=600) == b"ready", self._console()
        self.wait_for_boot(timeout=600)
        return self

    def _console(self):
        return self.log.read_text(errors="replace")[-4000:]

    def _line(self, timeout):
        deadline = time.monotonic() + timeout
        while b"\n" not in self._heard:
            left = deadline - time.monotonic()
            ready = select.select([self._shell], [], [], max(left, 0))[0]
            more = self._shell.recv(1 << 16) if ready else b""
            assert more, f"the machine says nothing for {timeout} s: {self._console()}"
            self._heard += more
        line, _, self._heard = self._heard.partition(b"\n")
        return line.strip()

    def execute(self, script, timeout):
        self._shell.sendall(base64.b64encode(script.encode()) + b"\n")
        code, _, output = self._line(timeout).partition(b" ")
        return int(code), base64.b64decode(output).decode(errors="replace")

    def stop(self):
        if self._shell:
            self._shell.close()
        if self._qemu and self._qemu.poll() is None:
            self._qemu.kill()
            self._qemu.wait(timeout=10)
