"""The project's own tools: a check that can't fail checks nothing, and a demo that leaves something behind is none."""

import subprocess
from types import SimpleNamespace

import pytest

from support import BUILT, ROOT


@pytest.fixture(scope="module")
def rules():
    # Not imported: that would leave byte code beside the script.
    space = {"__name__": "check_imports", "__file__": str(ROOT / "scripts" / "check-imports")}
    exec((ROOT / "scripts" / "check-imports").read_text(), space)
    return SimpleNamespace(**space)


@pytest.mark.parametrize(
    "folder, code",
    [
        ("Shared", "import Glibc"),
        ("Shared", "import Foundation"),
        ("Supervisor", "import CSystemd"),
        ("Supervisor", "@_spi(X) import CoppiceWorkerProcess"),
        ("WorkerProcess", "public import CoppiceTransport"),
        ("DrillWorker", "import struct CoppiceShared.JSONValue"),
        ("Transport", "func read() async {}"),
        ("Supervisor", "let x = Task { 1 }"),
        ("Redis", "@MainActor final class X {}"),
        ("EventLoop", "DispatchQueue.main"),
        ("Elsewhere", ""),
    ],
)
def test_a_forbidden_line_is_found(rules, folder, code):
    assert [line for line, _ in rules.complaints(folder, f"\n{code}\n")] in ([2], [1])


@pytest.mark.parametrize(
    "folder, code",
    [
        ("Shared", "// no async here, no Task { }"),
        ("Shared", 'let text = "async Task { import Foundation"'),
        ("Supervisor", "/* import CSystemd */ struct TaskCall {}"),
        ("Supervisor", 'let text = """\n  await Task {\n  """'),
        ("WorkerProcess", "func run() async { await go() }"),
        ("Shared", "import FoundationEssentials"),
    ],
)
def test_prose_and_allowed_code_pass(rules, folder, code):
    assert list(rules.complaints(folder, code)) == []


# What an application may have in the environment: none of it is the demo's.
APPLICATION = {"CELERY_BROKER": "rabbitmq", "CELERY_BROKER_URL": "redis://127.0.0.1:1/0", "CELERY_RESULT_BACKEND": "django-db",
               "REDIS_HOST": "127.0.0.1", "REDIS_PORT": "1", "REDIS_PASSWORD": "x", "CELERY_RABBITMQ_HOST": "127.0.0.1"}  # fmt: skip


def test_the_demo_works_and_leaves_nothing(folder):
    done = subprocess.run([ROOT / "scripts" / "demo", BUILT], capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL,
                          env={"PATH": "/usr/bin:/bin", "HOME": str(folder), "TMPDIR": str(folder), **APPLICATION})  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    for text in ("example.add", "data.process", "email.send", "kill -9", "it runs again"):
        assert text in done.stdout
    assert list(folder.iterdir()) == []
    left = subprocess.run(["pgrep", "-f", str(folder)], capture_output=True, text=True).stdout.split()
    assert left == []
