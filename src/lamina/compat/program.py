"""Runs a program as python would, with lamina in torch's place: the work of `lamina run`.

Here: `__main__`, sys.argv, sys.path and tracebacks of script, module, folder, zip file or standard input. Not here: the
command line (cli.py), the import hook (finder.py). The module `__main__` is a real one, for pickle and multiprocessing.
"""

import importlib.abc
import importlib.machinery
import importlib.util
import io
import os
import pkgutil
import sys
from collections.abc import Callable, Sequence
from dis import opmap
from pathlib import Path
from types import CodeType, ModuleType, TracebackType
from typing import NoReturn

from lamina.compat.finder import install
from lamina.core.version import is_own

_CHILDREN = str(Path(__file__).with_name("children"))


def run(target: str, arguments: Sequence[str], *, module: bool = False) -> None:
    """Run the script `target` ("-": standard input), or the module of that name, as `__main__`.

    Whatever it raises comes out, SystemExit too; the traceback that Python then prints begins at the program's frames.
    """
    install()
    _install_in_children()
    main = ModuleType("__main__")
    main.__dict__["__builtins__"] = sys.modules["builtins"]
    sys.argv = [target, *arguments]
    sys.modules["__main__"] = main
    with _HideFramesBefore(main):
        code = _load_module(main, target) if module else _load_script(main, target)
        exec(code, main.__dict__)  # noqa: S102


def _install_in_children() -> None:
    """Let the Python processes that the program starts find lamina as torch, too."""
    if _CHILDREN not in sys.path:
        sys.path.insert(1, _CHILDREN)  # multiprocessing hands sys.path on
    inherited = os.environ.get("PYTHONPATH")
    if inherited is None or _CHILDREN not in inherited.split(os.pathsep):
        os.environ["PYTHONPATH"] = _CHILDREN if not inherited else os.pathsep.join([_CHILDREN, inherited])


def _load_script(main: ModuleType, target: str) -> CodeType:
    """Fill in what `python target` would, and compile it."""
    if target == "-":
        _set_first_path("")
        return compile(sys.stdin.read(), "<stdin>", "exec", dont_inherit=True)
    path = os.path.abspath(target)
    importer = pkgutil.get_importer(path)
    if importer is not None and (os.path.isdir(path) or not path.endswith((".py", ".pyw"))):
        spec = importer.find_spec("__main__")
        if spec is not None and isinstance(spec.loader, importlib.abc.InspectLoader):  # a folder or a zip file
            _set_first_path(path)
            return _describe(main, spec, package="")
        if os.path.isdir(path):
            _fail(f"can't find '__main__' module in {path!r}", 1)
    _set_first_path(os.path.dirname(os.path.realpath(path)))
    main.__file__ = path
    main.__loader__ = importlib.machinery.SourceFileLoader("__main__", path)
    main.__dict__["__cached__"] = None
    try:
        with io.open_code(path) as file:
            source = file.read()
    except OSError as error:
        _fail(f"can't open file {path!r}: [Errno {error.errno}] {error.strerror}", 2)
    return compile(source, path, "exec", dont_inherit=True)


def _load_module(main: ModuleType, name: str) -> CodeType:
    """Fill in what `python -m name` would, and compile it."""
    _set_first_path(os.getcwd())
    sys.argv[0] = "-m"  # what code that runs while packages are imported sees
    try:
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.submodule_search_locations is not None:
            inside = importlib.util.find_spec(f"{name}.__main__")
            if inside is None:
                _fail(f"No module named {name}.__main__; {name!r} is a package and cannot be directly executed", 1)
            spec = inside
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise
        spec = None
    if spec is None or not isinstance(spec.loader, importlib.abc.InspectLoader):
        _fail(f"No module named {name}", 1)
    sys.argv[0] = spec.origin or name
    return _describe(main, spec, package=spec.parent or "")


def _describe(main: ModuleType, spec: importlib.machinery.ModuleSpec, package: str) -> CodeType:
    main.__spec__, main.__loader__, main.__package__ = spec, spec.loader, package
    main.__file__ = spec.origin
    main.__dict__["__cached__"] = spec.cached
    assert isinstance(spec.loader, importlib.abc.InspectLoader)  # the callers have looked
    code = spec.loader.get_code(spec.name)
    if code is None:
        _fail(f"No code object available for {spec.name}", 1)
    return code


def _set_first_path(folder: str) -> None:
    """Put the program's folder where python puts it: in place of that of the `lamina` command."""
    if not sys.flags.safe_path:
        sys.path[0] = folder


def _fail(message: str, status: int) -> NoReturn:
    print(f"lamina: {message}", file=sys.stderr)
    raise SystemExit(status)


class _HideFramesBefore:
    """A context: an exception that leaves it is later shown from the first frame of module `main` on.

    The exception itself goes on, so that python does all that it does at the end of a program (exit status, signals,
    the program's own sys.excepthook).
    """

    def __init__(self, main: ModuleType) -> None:
        self.main = main

    def __enter__(self) -> None:
        """Nothing to prepare."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            sys.excepthook = self._from_main_on(sys.excepthook)

    def _from_main_on(self, show: Callable[..., object]) -> Callable[..., object]:
        def excepthook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
            while trace is not None and trace.tb_frame.f_globals is not self.main.__dict__:
                trace = trace.tb_next
            if not sys.flags.dev_mode:
                _end_at_the_program(trace)
            show(kind, error.with_traceback(trace), trace)

        return excepthook


def _end_at_the_program(trace: TracebackType | None) -> None:
    """Cut off lamina's own frames below the program's last one where lamina has refused something (`raise`), as PyTorch's
    kernels have no frames. What went wrong inside of lamina, and all under `python -X dev`, is shown whole."""
    last = end = trace
    while trace is not None:
        if is_own(trace.tb_frame.f_code.co_filename) not in (1, 3):
            last = trace
        end, trace = trace, trace.tb_next
    if last is not None and end is not None and end.tb_frame.f_code.co_code[end.tb_lasti] == opmap["RAISE_VARARGS"]:
        last.tb_next = None
