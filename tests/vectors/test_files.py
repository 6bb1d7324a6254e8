"""The copied vectors are whole: a file that is missing, changed or unlisted fails here, not by being passed over."""

import hashlib
import json
from pathlib import Path

DATA = Path(__file__).parent / "data"


def test_every_copied_file_is_listed_and_unchanged():
    listed = {}
    for line in (DATA / "SHA256SUMS").read_text().splitlines():
        digest, name = line.split("  ", 1)
        listed[name] = digest
    present = {
        path.relative_to(DATA).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in DATA.rglob("*")
        if path.is_file() and path.name not in ("SHA256SUMS", "README.md")
    }
    assert present == listed
    assert len(listed) == 57


def test_collections_for_other_rooms_hold_the_promised_number_of_cases():
    own = DATA / "keystead_own"
    assert len(json.loads((own / "hostile_json.json").read_text())["cases"]) == 27
    assert len(json.loads((own / "master_key_inputs.json").read_text())["cases"]) == 21
    assert len(json.loads((own / "aes256gcm_two_keys.json").read_text())["tests"]) == 3
    probes = json.loads((DATA / "merkle_transparency_dev/proof_probes.json").read_text())
    assert len(probes) == 518


def test_sources_and_licences_are_named_for_every_folder():
    readme = (DATA / "README.md").read_text()
    for folder in DATA.iterdir():
        if folder.is_dir():
            assert f"`{folder.name}/`" in readme
    assert (DATA / "wycheproof/LICENSE").stat().st_size > 10_000
    assert (DATA / "merkle_transparency_dev/LICENSE").stat().st_size > 10_000
