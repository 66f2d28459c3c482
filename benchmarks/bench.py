"""Times of operations and training steps beside PyTorch's, as ratios.

    python benchmarks/bench.py [--only REGEX] [--rounds 7] [--slice 0.2] [--threads 1]

Each library runs in a process of its own (worker.py) and they take turns, A B A B ...: the ratio of a round is of two
times measured within a fraction of a second, so a slow drift of the machine cancels. Printed are the median time and
the median ratios, lamina over PyTorch (below 1: lamina is faster), eager and, for training steps, through
`lamina.compile`; `~` where the quartiles of the ratio are over 10 % apart. Below the table: the geometric mean of each
group, and its worst. Where PyTorch is not installed, only lamina's times are printed.
"""

import argparse
import importlib.util
import os
import re
import statistics
import sys
from multiprocessing import connection, get_context
from typing import Any

from cases import CASES
from worker import serve

COMPILED = "compiled"
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "LAMINA_NUM_THREADS")


class Library:
    """The process of one library; `COMPILED` is lamina with its steps compiled."""

    def __init__(self, name: str) -> None:
        context = get_context("spawn")
        self.name = name
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(
            target=serve, args=("lamina" if name == COMPILED else name, name == COMPILED, theirs), daemon=True
        )
        self.process.start()
        theirs.close()

    def ask(self, *request: Any) -> Any:
        """Its answer; an exception of the case comes back as text."""
        self.pipe.send(request)
        return self.pipe.recv()

    def close(self) -> None:
        self.pipe.close()
        self.process.join(timeout=5)


def measure(libraries: list[Library], case: str, rounds: int, slice_seconds: float) -> dict[str, list[float] | str]:
    """By library: the time of each round, or why there is none."""
    times: dict[str, list[float] | str] = {}
    for library in libraries:
        if library.name == COMPILED and not case.startswith("step/"):
            continue
        problem = library.ask("prepare", case)
        times[library.name] = problem or []
    ready = [library for library in libraries if times.get(library.name) == []]
    for _ in range(rounds):
        for library in ready:
            found = times[library.name]
            assert isinstance(found, list)  # it is ready
            found.append(library.ask("measure", slice_seconds))
    return times


def row(case: str, names: list[str], times: dict[str, list[float] | str]) -> str:
    """A line of the table."""
    cells = []
    for name in names:
        found = times.get(name, "")
        cells.append(f"{_time(statistics.median(found)):>10}" if isinstance(found, list) else f"{'-':>10}")
    line = f"{case:28} {' '.join(cells)}"
    for name in names:
        ratios = ratios_of(times, name) if name != "torch" else []
        if ratios:
            low, middle, high = statistics.quantiles(ratios, n=4)
            line += f"  {middle:6.2f}{' ~' if high / low > 1.1 else '  '}"
    problems = [f"{name}: {found}" for name, found in times.items() if isinstance(found, str)]
    return line.rstrip() + "".join(f"  {problem}" for problem in problems)


def ratios_of(times: dict[str, list[float] | str], name: str) -> list[float]:
    """The time of `name` over PyTorch's in each round; none where one of them has no time."""
    ours, theirs = times.get(name), times.get("torch")
    if not isinstance(ours, list) or not isinstance(theirs, list):
        return []
    return sorted(a / b for a, b in zip(ours, theirs, strict=True))


def _time(seconds: float) -> str:
    if seconds < 1e-3:
        return f"{seconds * 1e6:.2f} us"
    return f"{seconds * 1e3:.2f} ms"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", metavar="REGEX", help="only the cases whose name has a match")
    parser.add_argument("--rounds", type=int, default=7, help="turns of each library (%(default)s)")
    parser.add_argument("--slice", type=float, default=0.2, metavar="S", help="seconds of a turn (%(default)s)")
    parser.add_argument("--threads", type=int, default=1, help="threads of each library (%(default)s)")
    args = parser.parse_args()
    chosen = [name for name in CASES if re.search(args.only, name)]
    if not chosen:
        parser.error(f"no case matches {args.only!r}; there are {', '.join(CASES)}")

    os.environ.update(dict.fromkeys(THREAD_VARIABLES, str(args.threads)))
    names = ["lamina", COMPILED] + (["torch"] if importlib.util.find_spec("torch") else [])
    libraries = [Library(name) for name in names]
    ends = "  lamina, compiled / torch" if "torch" in names else ""
    print(f"{'':28} {' '.join(f'{name:>10}' for name in names)}{ends}")
    ratios: dict[tuple[str, str], list[float]] = {}  # by group and library
    try:
        for case in chosen:
            times = measure(libraries, case, args.rounds, args.slice)
            print(row(case, names, times), flush=True)
            for name in names[:2]:
                if found := ratios_of(times, name):
                    ratios.setdefault((case.partition("/")[0], name), []).append(statistics.median(found))
    except (EOFError, connection.AuthenticationError) as error:
        print(f"a library's process has ended: {error!r}", file=sys.stderr)
        return 1
    finally:
        for library in libraries:
            library.close()
    for (group, name), found in ratios.items():
        mean, most = statistics.geometric_mean(found), max(found)
        print(f"{group}: {name} takes {mean:.2f} of PyTorch's time, at most {most:.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
