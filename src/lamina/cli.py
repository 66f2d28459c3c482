"""The command `lamina`: reads its arguments and calls who does the work.

Here: argparse. Not here: running programs (compat/program.py), the report of `lamina doctor` (doctor.py).
"""

import argparse
import sys
from collections.abc import Sequence

from lamina import doctor
from lamina.compat import program
from lamina.compiler.available import available
from lamina.compiler.kernels import NotNative
from lamina.compiler.runtime import cache, tuned


def main(argv: Sequence[str] | None = None) -> int:
    """Carry out the command line; the exit status. What a program under `lamina run` raises comes out."""
    args = _parser().parse_args(argv)
    if args.command == "run":
        program.run(args.target, args.arguments, module=args.module)
        return 0
    if args.command == "doctor":
        return doctor.main()
    if args.command == "cache":
        return _cache(clear=args.action == "clear")
    return _tune(dry=args.dry_run, reset=args.reset)


def _cache(clear: bool) -> int:
    if clear:
        count = cache.clear()
        print(f"{count} kernels deleted")
        return 0
    found = cache.info()
    print(f"{found.folder}: {found.kernels} kernels, {found.bytes / 1e6:.1f} MB of at most {found.limit / 1e6:.0f}")
    if found.problem:
        print(f"not used: {found.problem}")
    return 1 if found.problem else 0


def _tune(dry: bool, reset: bool) -> int:
    if reset:
        print(f"{tuned.file()} {'deleted' if tuned.reset() else 'is not there'}: the shipped coefficients are used")
        return 0
    if not available():
        print("lamina: tune: there is no native code here to be tuned; `lamina doctor` says why", file=sys.stderr)
        return 2
    from lamina.compiler import costs, tune  # only where native code is

    try:
        found = tune.fit()
    except NotNative as error:
        print(f"lamina: tune: this CPU has no {error}", file=sys.stderr)
        return 2
    print(tune.table(found))
    if dry:
        return 0
    try:
        print(f"kept in {tuned.save(found._asdict())}")
    except OSError as error:
        print(f"lamina: tune: they cannot be kept: {error}", file=sys.stderr)
        return 1
    costs.forget()
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="lamina", description="Run PyTorch programs without PyTorch.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    run = commands.add_parser(
        "run",
        help="run a program that says `import torch`",
        usage="lamina run [-h] [-m] TARGET [ARGUMENT ...]",
        description="Run a program as python would, with lamina in torch's place.",
    )
    run.add_argument("-m", dest="module", action="store_true", help="TARGET is the name of a module, not a file")
    run.add_argument("target", metavar="TARGET", help="the script; - is standard input")
    run.add_argument("arguments", metavar="ARGUMENT", nargs=argparse.REMAINDER, help="for the program's sys.argv")

    commands.add_parser("doctor", help="print versions, CPU, threads, caches, and whether a self-check holds")

    cache = commands.add_parser("cache", help="how much native code is kept on disk, or delete it")
    cache.add_argument("action", choices=["info", "clear"])

    tune = commands.add_parser(
        "tune",
        help="fit the compiler's cost model to this machine",
        description="Measure this machine for some seconds and keep what the compiler's cost model needs to know of it. "
        "Best done while nothing else runs.",
    )
    what = tune.add_mutually_exclusive_group()
    what.add_argument("--dry-run", action="store_true", help="print what was measured, keep nothing")
    what.add_argument("--reset", action="store_true", help="go back to the shipped coefficients")
    return parser
