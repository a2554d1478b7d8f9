"""Runs the notebooks of `examples/notebooks`, and keeps in them what they print and draw.

After a change of a notebook, or of what it shows: python docs/run_notebooks.py [NAME ...]
"""

import base64
import io
import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode
from PIL import Image
from shrink_pictures import COLOURS

NOTEBOOKS = Path(__file__).parents[1] / "examples/notebooks"


def executed(path: Path, folder: Path) -> NotebookNode:
    """Return a notebook after all of its cells ran in a new kernel, from top to bottom, in a folder."""
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook,
        timeout=300,
        kernel_name="python3",
        coalesce_streams=True,
        record_timing=False,
        resources={"metadata": {"path": str(folder)}},
    )
    client.execute()
    notebook.metadata = {
        "kernelspec": notebook.metadata.kernelspec,
        "language_info": {"name": "python"},  # without a version, which would differ from run to run
    }
    return notebook


def shrink(picture: str) -> str:
    """Return a picture, a PNG in base 64, in few colours."""
    with Image.open(io.BytesIO(base64.b64decode(picture))) as image:
        small = io.BytesIO()
        image.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(small, "PNG", optimize=True)
    return base64.b64encode(small.getvalue()).decode()


def main(*names: str) -> None:
    """Run these notebooks, or all."""
    for path in sorted(NOTEBOOKS.glob("*.ipynb")):
        if names and path.stem not in names:
            continue
        with tempfile.TemporaryDirectory() as folder:
            notebook = executed(path, Path(folder))
        for output in (output for cell in notebook.cells for output in cell.get("outputs", [])):
            if "image/png" in output.get("data", {}):
                output.data["image/png"] = shrink(output.data["image/png"])
        nbformat.write(notebook, path)
        print(f"{path}: {path.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main(*sys.argv[1:])
