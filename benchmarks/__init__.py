"""What the component costs beside its encoder, in time and in memory: `python -m benchmarks --help`."""

from pathlib import Path

ROOT = Path(__file__).parents[1]
