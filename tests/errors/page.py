"""docs/errors.md from the programs beside this file: run it to write the page anew.

Each program makes one error; the page shows it as Python prints it, without the traceback.
"""

import contextlib
import io
import runpy
import traceback
import warnings
from pathlib import Path

HERE = Path(__file__).parent
PROGRAMS = sorted((HERE / "programs").glob("*.py"))
PAGE = HERE.parents[1] / "docs" / "errors.md"
ORDER = (
    "backward_twice", "carried_over", "modified_in_place", "written_by_index", "inplace_layer", "step_before_backward",
    "leaf_in_place", "view_in_place", "non_scalar", "cut_by_detach", "cut_by_no_grad", "cut_by_integer",
    "cut_by_comparison", "cut_by_item", "cut_by_numpy", "without_create_graph", "unused_input", "shapes_in_a_module",
    "shapes_between_layers", "tuple_into_a_layer", "view_of_another_size", "shapes_of_operands", "batches_of_matrices",
    "dtypes_of_a_product", "float64_into_a_layer", "index_out_of_range", "embedding_out_of_range", "grad_of_a_non_leaf",
    "hook_of_another_shape", "gradients_of_a_function", "non_leaf_in_an_optimizer", "tensors_of_inference_mode",
    "why_no_grad",
)  # fmt: skip
HEAD = """# Errors that explain

PyTorch's type and sentence first, so that programs that match on them go on working; below it, as notes of the exception, the lines of
your program and what to write instead. `str(error)` is PyTorch's sentence alone, `error.__notes__` the rest. Lines of installed packages
are skipped; where there is no source (`exec`, `python -c`) the line number stands alone.

Every text on this page is printed by a program in `tests/errors/programs`; `python tests/errors/page.py` writes the page.
"""


def printed(program: Path) -> str:
    """What a program prints, and the error or warning that it ends with."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            runpy.run_path(str(program))
        except Exception as error:
            out.write("".join(traceback.format_exception_only(error)))
    for warning in caught:
        out.write(f"{warning.category.__name__}: {warning.message}\n")
    return out.getvalue().rstrip()


def title(program: Path) -> str:
    return program.read_text().split('"""')[1].rstrip(".")


def code(program: Path) -> str:
    return program.read_text().split('"""\n', 2)[1].strip()


def page() -> str:
    """The whole page."""
    by_name = {p.stem: p for p in PROGRAMS}
    programs = [by_name[name] for name in ORDER]
    texts = {p: printed(p) for p in programs}
    rows = ["| | raised |", "| --- | --- |"]
    parts = []
    for p in programs:
        raised = texts[p].split(":")[0] if "Error:" in texts[p] or "Warning:" in texts[p] else "nothing: it answers"
        rows.append(f"| [{title(p)}](#{p.stem.replace('_', '-')}) | {raised} |")
        parts.append(
            f'<a id="{p.stem.replace("_", "-")}"></a>\n\n## {title(p)}\n\n```python\n{code(p)}\n```\n\n```text\n{texts[p]}\n```\n'
        )
    return "\n".join([HEAD, *rows, "", *parts])


if __name__ == "__main__":
    PAGE.write_text(page())
