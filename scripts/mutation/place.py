"""Where mutants are built, and for which instruction set."""
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
WORK = ROOT / "build" / "mutate"
SOURCE = WORK / "source"
BUILD = SOURCE / "build" / "cpu"  # the place of other builds, which ccache may know the files from
LOG = WORK / "log.jsonl"
AVX2 = "haswell -maes"  # which Highway wants for it
machine = Path("/proc/cpuinfo").read_text()
march = "skylake-avx512" if "avx512vl" in machine else AVX2 if "avx2" in machine else "native"
