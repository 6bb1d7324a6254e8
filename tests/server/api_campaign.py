"""`python -m tests.server.api_campaign [EXAMPLES]`: a schema fuzzer, with every check on, against a live server."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from tests.server.conftest import prepared

LEFT_OUT = ("tokens.revoke", "tokens.renew", "changes")
"""By the first two the fuzzer would end the access token that it asks by; the last waits as long as it is told to."""


def main(examples: str = "50") -> int:
    """The fuzzer's exit code: 0 where it finds nothing."""
    program = Path(sys.executable).with_name("schemathesis")
    with tempfile.TemporaryDirectory(prefix="keystead-api-") as folder:
        server = prepared(Path(folder)).start()
        try:
            command = [
                str(program), "--config-file", str(Path(__file__).with_name("schemathesis.toml")),
                "run", f"{server.url}/api/v1/openapi.json", "--checks", "all", "--header",
                f"Authorization: Bearer {server.token}", "--max-examples", examples, "--workers", "2",
                "--phases", "examples,coverage,fuzzing,stateful",
            ]  # fmt: skip
            command += [word for name in LEFT_OUT for word in ("--exclude-operation-id", name)]
            return subprocess.run(command, cwd=folder, check=False).returncode
        finally:
            server.stop()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
