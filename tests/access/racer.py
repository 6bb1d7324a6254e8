"""One process of a race: opens the store, says that it is ready, and tries once when told; `True` for a success.

racer.py STORE KEY login ROLE_ID SECRET_ID | racer.py STORE KEY use TOKEN
"""

from __future__ import annotations

import sys

import keystead
from keystead.errors import CallerError


def main() -> None:
    path, key, what, *texts = sys.argv[1:]
    with keystead.connect(path, master_key=key) as store:
        acting = store.as_token(texts[0]) if what == "use" else store
        print("ready", flush=True)
        for _ in sys.stdin:
            try:
                if what == "use":
                    acting.kms.whoami()
                else:
                    store.login("role", role_id=texts[0], secret_id=texts[1])
                won = True
            except CallerError:
                won = False
            print(won, flush=True)


main()
