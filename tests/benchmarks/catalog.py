"""The rows of the table: what each benchmark measures, at which size."""

from __future__ import annotations

from benchmarks import burst, helping, idle, lateness, monitoring, reading
from benchmarks.harness import Benchmark

BENCHMARKS = {
    "burst": Benchmark(
        what="requests due at one instant, /bin/true, claims and log durable",
        size=1000,
        quick=200,
        smallest=3,
        rounds=5,
        measure=burst.measure,
    ),
    "lateness": Benchmark(
        what="lateness of a lone fire",
        size=100,
        quick=8,
        smallest=1,
        rounds=1,
        measure=lateness.measure,
    ),
    "idle-turn": Benchmark(
        what="idle turn with registered requests",
        size=100_000,
        quick=10_000,
        smallest=2,
        rounds=20,
        measure=idle.measure_turn,
    ),
    "idle-cpu": Benchmark(
        what="idle CPU with requests",
        size=10_000,
        quick=1000,
        smallest=2,
        rounds=3,
        measure=idle.measure_cpu,
    ),
    "validate": Benchmark(
        what="validate files, cold",
        size=10_000,
        quick=1000,
        smallest=2,
        rounds=5,
        measure=reading.measure_validate,
    ),
    "next": Benchmark(
        what="the coming 1,000 fires of requests",
        size=10_000,
        quick=1000,
        smallest=2,
        rounds=5,
        measure=reading.measure_next,
    ),
    "unchanged": Benchmark(
        what="commands on unchanged files",
        size=10_000,
        quick=1000,
        smallest=2,
        rounds=5,
        measure=reading.measure_unchanged,
    ),
    "edit": Benchmark(
        what="one edit among files, write to live",
        size=10_000,
        quick=1000,
        smallest=2,
        rounds=10,
        measure=reading.measure_edit,
    ),
    "start": Benchmark(
        what="start-up with requests to first possible fire",
        size=10_000,
        quick=500,
        smallest=2,
        rounds=5,
        measure=reading.measure_start,
    ),
    "help": Benchmark(
        what="`runner --help` over bare Python",
        size=1,
        quick=1,
        smallest=1,
        rounds=15,
        measure=helping.measure,
    ),
    "failures": Benchmark(
        what="newest 20 failures out of a log of records",
        size=1_000_000,
        quick=100_000,
        smallest=200,
        rounds=5,
        measure=monitoring.measure,
    ),
    "memory": Benchmark(
        what="resident memory with requests",
        size=10_000,
        quick=1000,
        smallest=2,
        rounds=3,
        measure=idle.measure_memory,
    ),
}
