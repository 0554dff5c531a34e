"""Run all benchmarks, one after another; each can be run alone and has options of its own."""

import subprocess
import sys

NAMES = (
    "prefill", "decode", "alternating", "load", "concurrency", "prefix", "conversation", "reload",
    "embeddings", "busy_core",
    "constrained", "speculation", "prediction", "catalog", "agents", "pull", "templates",
)  # fmt: skip


def main() -> int:
    """Run each in a process of its own; return how many failed."""
    failed = 0
    for name in NAMES:
        print(f"\n== {name}", flush=True)
        failed += (
            subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], check=False).returncode
            != 0
        )
    return failed


if __name__ == "__main__":
    sys.exit(main())
