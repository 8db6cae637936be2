"""What `scripts/bench.py` runs: one module a benchmark, each with NAME and ``run(settings)``."""
