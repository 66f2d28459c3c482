"""The command `lamina`: reads its arguments and calls who does the work.

Here: argparse. Not here: running programs (compat/program.py), the report of `lamina doctor` (doctor.py).
"""

import argparse
import sys
from collections.abc import Sequence

from lamina import doctor
from lamina.compat import program

_NOT_YET = "comes with the compiler, which this version does not have: operations run on NumPy and nothing is cached"


def main(argv: Sequence[str] | None = None) -> int:
    """Carry out the command line; the exit status. What a program under `lamina run` raises comes out."""
    args = _parser().parse_args(argv)
    if args.command == "run":
        program.run(args.target, args.arguments, module=args.module)
        return 0
    if args.command == "doctor":
        return doctor.main()
    print(f"lamina: {args.command} {_NOT_YET}", file=sys.stderr)
    return 2


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

    cache = commands.add_parser("cache", help="the cache of native kernels (comes with the compiler)")
    cache.add_argument("action", choices=["info", "clear"])
    commands.add_parser("tune", help="measure this machine for the compiler (comes with it)")
    return parser
