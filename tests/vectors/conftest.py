"""Reading the copied vectors, as they are or gzipped."""

import gzip
import json
from pathlib import Path

DATA = Path(__file__).parent / "data"


def text_of(name: str) -> str:
    path = DATA / name
    return path.read_text("utf-8") if path.exists() else gzip.decompress(Path(f"{path}.gz").read_bytes()).decode()


def wycheproof(name: str) -> list[tuple[dict, dict]]:
    """Each test of a file with its group; none may be missing."""
    document = json.loads(text_of(f"wycheproof/{name}_test.json"))
    found = [(group, row) for group in document["testGroups"] for row in group["tests"]]
    assert len(found) == document["numberOfTests"]
    return found


def raw(row: dict, *fields: str) -> list[bytes]:
    return [bytes.fromhex(row[field]) for field in fields]
