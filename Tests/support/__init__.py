"""What the black-box tests and the benchmark share: servers, workers, clients, and eyes on processes."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
# COPPICE_BUILD=debug tests what `swift build` has left: quicker while code is being written.
BUILT = ROOT / ".build" / os.environ.get("COPPICE_BUILD", "release")
COPPICE = BUILT / "coppice"
EXAMPLE = BUILT / "example-worker"
DRILL = BUILT / "drill-worker"


def venv_python(name):
    """The interpreter of a virtual environment beside the tests' own: venv_python("celery-5.3")."""
    path = ROOT / ".build" / f"venv-{name}" / "bin" / "python"
    assert path.exists(), f"{path} is missing: make deps-test"
    return path
