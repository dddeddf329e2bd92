"""What the black-box tests and the benchmark share: servers, workers, clients, and eyes on processes."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
RELEASE = ROOT / ".build" / "release"
COPPICE = RELEASE / "coppice"
EXAMPLE = RELEASE / "example-worker"
DRILL = RELEASE / "drill-worker"
