"""BIDS derivatives: names that BIDS allows and that never meet, maps on the scan's own voxels, the same bytes each time."""

import gzip
import hashlib
import json
import re
import subprocess
from importlib import metadata
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from standin import StandIn, write_phantom

import hypojax
from hypojax.cohort.derivatives import ScanMaps, remove_scan, scan_stem, write_dataset, write_scan
from hypojax.scans import discover, read, write_nifti
from hypojax.schema import LABELS

BIDS_STEM = re.compile(r"sub-[A-Za-z0-9]+/(ses-[A-Za-z0-9]+/)?anat/sub-[A-Za-z0-9]+(_[a-z]+-[A-Za-z0-9]+)*")
AFFINE = np.array([[-1.0, 0, 0, 12], [0, 0.1, 1.2, -7], [0, -1.1, 0.1, 30], [0, 0, 0, 1]])


def maps(*, icv: bool = True, header: bytes | None = None) -> ScanMaps:
    labels = (np.arange(60, dtype=np.uint8) % 11).reshape(3, 4, 5)
    return ScanMaps(hypothalamus=labels, intracranial=(labels > 0).astype(np.uint8) if icv else None, affine=AFFINE, header=header)


def files(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("scan", "stem"),
    [
        ("sub-01", "sub-01/anat/sub-01"),
        ("sub-01_ses-2_acq-x_run-1", "sub-01/ses-2/anat/sub-01_ses-2_acq-x_run-1"),
        ("sub-01_run-1_acq-x", "sub-01#/anat/sub-01#_acq-x_run-1"),
        ("ds000011_sub-01", "sub-ds000011sub01#/anat/sub-ds000011sub01#"),
        ("ds000011_sub-01_ses-2", "sub-ds000011sub01#/ses-2/anat/sub-ds000011sub01#_ses-2"),
        ("colin27", "sub-colin27#/anat/sub-colin27#"),
        ("Jörg's scan", "sub-Jrgsscan#/anat/sub-Jrgsscan#"),
        ("###", "sub-scan#/anat/sub-scan#"),
    ],
)
def test_ids_become_bids_names(scan: str, stem: str) -> None:
    digits = "x" + hashlib.sha256(scan.encode()).hexdigest()[: 6 if scan.isascii() else 16]  # stand where an id could not be kept
    assert scan_stem(scan) == stem.replace("#", digits)


@pytest.mark.parametrize("scan", ["x" * 500, "sub-" + "9" * 250, "sub-01_ses-" + "2" * 200 + "_acq-" + "a" * 200 + "_run-1", "脳" * 90])
def test_no_name_of_a_long_id_is_too_long(scan: str) -> None:
    stems = {scan_stem(scan), scan_stem(scan + "1")}
    assert len(stems) == 2
    for part in "/".join(stems).split("/"):
        assert len(part.encode()) <= 120


def test_ids_that_lose_their_difference_are_told_apart() -> None:
    assert len({scan_stem(scan) for scan in ("a_b", "ab", "a.b", "sub-ab")}) == 4


@given(
    st.sets(
        st.text(alphabet="ab-_.1/é ", min_size=1, max_size=12) | st.from_regex(r"(x_)?sub-0[12](_ses-[12])?", fullmatch=True), max_size=8
    )
)
def test_names_are_bids_and_unique(scans: set[str]) -> None:
    names = {scan_stem(scan) for scan in scans}
    assert len(names) == len(scans)
    assert all(BIDS_STEM.fullmatch(name) for name in names)


def test_every_entity_of_a_t1w_image_is_a_column_and_stays_in_the_names(tmp_path: Path) -> None:
    scan = "sub-01_ses-2_acq-a_ce-b_rec-c_run-1_echo-2_inv-1_part-mag"
    assert scan_stem(scan) == f"sub-01/ses-2/anat/{scan}"
    path = write_phantom(tmp_path / "sub-01" / "ses-2" / "anat" / f"{scan}_T1w.nii.gz")
    (found,) = discover(tmp_path).scans
    assert (found.id, found.path) == (scan, path)
    assert found.entities == {
        "subject": "01",
        "session": "2",
        "acquisition": "a",
        "ceagent": "b",
        "reconstruction": "c",
        "run": "1",
        "echo": "2",
        "inv": "1",
        "part": "mag",
    }


def test_a_scan_without_maps_keeps_no_file(tmp_path: Path) -> None:
    for scan in ("sub-01", "sub-02"):
        write_scan(tmp_path, scan=scan, maps=maps())
    for _ in range(2):
        remove_scan(tmp_path, scan="sub-01")
    assert len(files(tmp_path)) == 2
    assert all(name.startswith("sub-02/") for name in files(tmp_path))


def test_maps_keep_voxels_and_affine(tmp_path: Path) -> None:
    digests = write_scan(tmp_path, scan="sub-01", maps=maps())
    assert digests == {key: hashlib.sha256(data).hexdigest() for key, data in files(tmp_path).items()}
    dseg, mask = digests
    assert dseg == "sub-01/anat/sub-01_space-orig_seg-hypothalamus_dseg.nii.gz"
    assert mask == "sub-01/anat/sub-01_space-orig_label-ICV_mask.nii.gz"
    for key, voxels in ((dseg, maps().hypothalamus), (mask, maps().intracranial)):
        image = nib.load(tmp_path / key)
        np.testing.assert_array_equal(np.asanyarray(image.dataobj), voxels)
        np.testing.assert_allclose(image.affine, AFFINE, atol=1e-6)  # NIfTI-1 holds float32
        assert image.get_data_dtype() == np.uint8


def test_header_of_the_source_gives_its_affine_bit_for_bit(tmp_path: Path) -> None:
    write_nifti(tmp_path / "source.nii.gz", maps().hypothalamus.astype(np.int16) * 7, AFFINE, slope=2.0, intercept=3.0)
    source = read("sub-01", tmp_path / "source.nii.gz")
    own = ScanMaps(maps().hypothalamus, None, source.affine, source.header)
    (dseg,) = write_scan(tmp_path / "out", scan="sub-01", maps=own)
    found = read("sub-01", tmp_path / "out" / dseg)
    np.testing.assert_array_equal(found.affine, source.affine)
    np.testing.assert_array_equal(found.scaled(), own.hypothalamus)


def test_sidecars_at_the_top_replace_those_of_single_images(tmp_path: Path) -> None:
    """An earlier version wrote one beside each image; only those go, and once they are gone nobody looks for them again."""
    write_scan(tmp_path, scan="sub-01_ses-2", maps=maps())
    kept = {*files(tmp_path), "sub-01/anat/notes.json", "sub-01_dseg.json"}
    for name in (*kept - {*files(tmp_path)}, *(key.replace(".nii.gz", ".json") for key in files(tmp_path))):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("{}")
    write_dataset(tmp_path, version="1", sources={})
    top = {"README.md", "dataset_description.json", "dseg.json", "dseg.tsv", "mask.json"}
    assert set(files(tmp_path)) == kept | top
    dseg, mask = (json.loads((tmp_path / f"{name}.json").read_text()) for name in ("dseg", "mask"))
    assert (dseg["SpatialReference"], dseg["Manual"], mask["Type"]) == ("orig", False, "Brain")


def test_a_missing_intracranial_volume_leaves_no_mask(tmp_path: Path) -> None:
    write_scan(tmp_path, scan="sub-01", maps=maps())
    write_scan(tmp_path, scan="sub-01", maps=maps(icv=False))
    assert not [name for name in files(tmp_path) if "ICV" in name]


def test_writing_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    for folder in ("a", "b", "a"):
        write_dataset(tmp_path / folder, version="1", sources={"in-1": "file:///in"})
        write_scan(tmp_path / folder, scan="sub-01", maps=maps())
    assert files(tmp_path / "a") == files(tmp_path / "b")


def test_the_folder_describes_itself(tmp_path: Path) -> None:
    write_dataset(tmp_path, version="1.2", sources={"in-1": "file:///in"})
    description = json.loads((tmp_path / "dataset_description.json").read_text())
    assert description["DatasetType"] == "derivative"
    assert {**description["GeneratedBy"][0], "Description": ""} == {"Name": "hypojax", "Version": "1.2", "Description": ""}
    header, *rows = [line.split("\t") for line in (tmp_path / "dseg.tsv").read_text().splitlines()]
    assert header[:2] == ["index", "name"]
    assert {int(row[0]): row[1] for row in rows} == LABELS
    assert len({row[2] for row in rows}) == len(LABELS)


def test_nothing_of_the_source_but_its_geometry_goes_on(tmp_path: Path) -> None:
    """Names and notes stand in headers and behind them; label maps are shared more freely than scans."""
    source = nib.Nifti1Image(maps().hypothalamus.astype(np.int16) * 7, AFFINE)
    for field in ("descrip", "aux_file", "intent_name", "db_name"):
        source.header[field] = b"SMITH"
    source.header["slice_code"], source.header["pixdim"][4] = 3, 2.3
    source.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"SMITH"))
    nib.save(source, tmp_path / "source.nii")
    image = read("sub-01", tmp_path / "source.nii")
    own = ScanMaps(maps().hypothalamus, None, image.affine, image.header)
    (key,) = write_scan(tmp_path / "out", scan="sub-01", maps=own)
    dseg = tmp_path / "out" / key
    assert b"SMITH" in (tmp_path / "source.nii").read_bytes()
    assert b"SMITH" not in gzip.decompress(dseg.read_bytes())
    found = nib.load(dseg)
    np.testing.assert_array_equal(found.affine, image.affine)
    assert (found.header["slice_code"], found.header["pixdim"][4], found.header["xyzt_units"]) == (0, 1, 2)


@pytest.mark.parametrize("authors", [["A. Author", "B. Author"], []])
def test_the_bids_validator_finds_nothing_to_mend(tmp_path: Path, authors: list[str]) -> None:
    """A dataset with sessions and runs, and loose files; where it names authors, there is no warning at all."""
    bids = tmp_path / "my study"
    write_phantom(bids / "sub-01" / "anat" / "sub-01_T1w.nii.gz")
    write_phantom(bids / "sub-02" / "ses-1" / "anat" / "sub-02_ses-1_acq-x_run-1_T1w.nii.gz")
    write_phantom(tmp_path / "loose" / "old scan.nii.gz")
    described = {"Name": "study", "BIDSVersion": "1.10.0", "Authors": authors, "DatasetDOI": "10.18112/openneuro.ds000011.v1.0.0"}
    (bids / "dataset_description.json").write_text(json.dumps(described))
    hypojax.run([bids, tmp_path / "loose"], tmp_path / "out", segmenter=StandIn())
    root = tmp_path / "out" / "derivatives"
    links = json.loads((root / "dataset_description.json").read_text())["DatasetLinks"]
    assert list(links.values()) == ["doi:10.18112/openneuro.ds000011.v1.0.0"]
    assert json.loads((root / "mask.json").read_text())["Sources"] == [f"bids:{name}:" for name in links]
    assert len([path for path in root.rglob("*") if path.is_file()]) == 3 * 2 + 5
    pytest.importorskip("bids_validator_deno", reason="the extra 'test' has it")
    program = next(file for file in metadata.files("bids-validator-deno") or [] if file.name == "bids-validator-deno")
    command = [str(Path(str(program.locate())).resolve()), str(root), "--format", "json"]
    shown = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    found = {(issue["severity"], issue["code"]) for issue in json.loads(shown)["issues"]["issues"]}
    assert found == (set() if authors else {("warning", "TOO_FEW_AUTHORS")})  # nobody else can name them
