"""Put NiiVue, the viewer of scan pages, with its licences into ``hypojax/reporting/static``.

    python -m pipelines.maintenance.vendor_niivue

Takes one file of the npm package, the one that a page loads as a plain script, and checks its SHA-256. The package has no file with its
licence: the text below is that of NiiVue's repository. The licences of the libraries that are a part of the file come from their own
packages. Needs npm; the same versions give the same bytes.
"""

import subprocess
import tarfile
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from hypojax.storage import digest

STATIC: Final = Path(__file__).parents[2] / "hypojax" / "reporting" / "static"

NIIVUE: Final = ("@niivue/niivue", "0.69.0")
SCRIPT: Final = "niivue.umd.js"
SHA256: Final = "47b896b77ec4a5be3ef1949c33ad393b6f45629921f326c279000bcf51bdb4af"
"""Of ``dist/niivue.umd.js``: 2,284,381 bytes."""

PARTS: Final = (
    ("gl-matrix", "3.4.4"),
    ("@lukeed/uuid", "2.0.1"),
    ("array-equal", "1.0.2"),
    ("fflate", "0.8.3"),
    ("nifti-reader-js", "0.8.0"),
    ("zarrita", "0.5.4"),
    ("@zarrita/storage", "0.1.4"),
    ("numcodecs", "0.3.2"),
    ("@ungap/structured-clone", "1.4.0"),
)
"""npm packages that are a part of the file, as its ``metafile-esm.json`` lists them, and versions whose licences are quoted."""

CONDITIONS: Final = """\
Redistribution and use in source and binary forms, with or without
modification, are permitted provided that the following conditions are met:

1. Redistributions of source code must retain the above copyright notice, this
   list of conditions and the following disclaimer.

2. Redistributions in binary form must reproduce the above copyright notice,
   this list of conditions and the following disclaimer in the documentation
   and/or other materials provided with the distribution.
"""

NAMES: Final = """
3. Neither the name of the copyright holder nor the names of its contributors
   may be used to endorse or promote products derived from this software
   without specific prior written permission.
"""

DISCLAIMER: Final = """
THIS SOFTWARE IS PROVIDED BY THE COPYRIGHT HOLDERS AND CONTRIBUTORS "AS IS"
AND ANY EXPRESS OR IMPLIED WARRANTIES, INCLUDING, BUT NOT LIMITED TO, THE
IMPLIED WARRANTIES OF MERCHANTABILITY AND FITNESS FOR A PARTICULAR PURPOSE ARE
DISCLAIMED. IN NO EVENT SHALL THE COPYRIGHT HOLDER OR CONTRIBUTORS BE LIABLE
FOR ANY DIRECT, INDIRECT, INCIDENTAL, SPECIAL, EXEMPLARY, OR CONSEQUENTIAL
DAMAGES (INCLUDING, BUT NOT LIMITED TO, PROCUREMENT OF SUBSTITUTE GOODS OR
SERVICES; LOSS OF USE, DATA, OR PROFITS; OR BUSINESS INTERRUPTION) HOWEVER
CAUSED AND ON ANY THEORY OF LIABILITY, WHETHER IN CONTRACT, STRICT LIABILITY,
OR TORT (INCLUDING NEGLIGENCE OR OTHERWISE) ARISING IN ANY WAY OUT OF THE USE
OF THIS SOFTWARE, EVEN IF ADVISED OF THE POSSIBILITY OF SUCH DAMAGE.
"""

COMPILED: Final = (
    (
        "Blosc, compiled into numcodecs (BSD 3-Clause)",
        "Copyright (c) 2009-2018, Francesc Alted\nCopyright (c) 2019, The Blosc Development Team",
    ),
    ("Zstandard, compiled into numcodecs (BSD 3-Clause)", "Copyright (c) Meta Platforms, Inc. and affiliates. All rights reserved."),
    ("LZ4, compiled into numcodecs (BSD 2-Clause)", "LZ4 Library\nCopyright (c) 2011-2020, Yann Collet\nAll rights reserved."),
)


def main(folder: Path = STATIC) -> None:
    """Write the script and ``niivue.LICENSE`` into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as scratch:
        script = _member(_packed(*NIIVUE, Path(scratch)), f"dist/{SCRIPT}")
        if (found := digest(script)) != SHA256:
            raise SystemExit(f"dist/{SCRIPT} of {'@'.join(NIIVUE)} has SHA-256 {found}, expected {SHA256}: see what changed")
        texts = [_part(name, version, Path(scratch)) for name, version in PARTS]
    (folder / SCRIPT).write_bytes(script)
    (folder / "niivue.LICENSE").write_text(licences(texts), encoding="utf-8")
    print(f"{folder / SCRIPT}: {len(script):,} bytes of {'@'.join(NIIVUE)}, and the licences of {1 + len(texts) + len(COMPILED)} parts")


def licences(parts: list[str]) -> str:
    """The text of all licences: NiiVue's, those of its parts, and those of what is compiled into them."""
    niivue = f"BSD 2-Clause License\n\nCopyright (c) 2021, Niivue\nAll rights reserved.\n\n{CONDITIONS}{DISCLAIMER}"
    compiled = [f"{title}\n\n{holders}\n\n{CONDITIONS}{NAMES if '3-Clause' in title else ''}{DISCLAIMER}" for title, holders in COMPILED]
    head = f"{SCRIPT} is the file dist/{SCRIPT} of {'@'.join(NIIVUE)}, unchanged (SHA-256 {SHA256}).\n\n"
    font = "Its letters are drawn with Roboto (Apache License 2.0, copyright Google), whose licence is that of hypojax.\n"
    return head + f"\n{'-' * 80}\n\n".join([niivue, *parts, *compiled, font])


def _part(name: str, version: str, scratch: Path) -> str:
    """Name and licence of one package that is a part of the file."""
    package = _packed(name, version, scratch)
    with tarfile.open(package) as archive:
        file = next(one for one in archive.getnames() if one.count("/") == 1 and one.split("/")[1].upper().startswith("LICENSE"))
    text = _member(package, file.split("/", 1)[1]).decode().replace("\r\n", "\n").strip()
    return f"{name}, a part of {SCRIPT}\n\n{text}\n"


def _packed(name: str, version: str, scratch: Path) -> Path:
    """The package as npm gives it."""
    command = ["npm", "pack", f"{name}@{version}", "--silent"]
    done = subprocess.run(command, cwd=scratch, check=True, capture_output=True, text=True)  # noqa: S603
    return scratch / done.stdout.split()[-1]


def _member(package: Path, name: str) -> bytes:
    """One file of a package."""
    with tarfile.open(package) as archive:
        held = archive.extractfile(f"package/{name}")
        if held is None:
            raise SystemExit(f"{package.name} has no {name}")
        return held.read()


if __name__ == "__main__":
    main()
