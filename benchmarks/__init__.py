"""What the component costs beside its encoder, in time and in memory: `python -m benchmarks --help`."""
