"""A small web application that keeps no secret in its code, its environment or its database.

It registers users, gives them access tokens (JWT), and keeps one mnemonic for each: the words that restore a wallet,
the kind of thing that must not be readable in a database, a backup or a log. To try it:

    keystead init
    keystead env import examples/app.env
    python -m uvicorn --app-dir examples fastapi_app.app:app

`app.py` opens everything and holds the routes, `settings.py` says what the application needs to know, `users.py` is the
database, `access_tokens.py` the JWT. `make run` starts it too, and calls it.
"""
