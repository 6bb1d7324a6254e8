"""A small web application that keeps no secret in its code, its environment or its database.

It registers users, gives them access tokens (JWT), and keeps one mnemonic for each: the words that restore a wallet,
the kind of thing that must not be readable in a database, a backup or a log. To try it, after `make run`, which
installs what it needs into `.venv`:

    . .venv/bin/activate
    keystead init
    keystead env import examples/app.env
    python -m uvicorn --app-dir examples fastapi_app.app:app

and from another terminal:

    J='Content-Type: application/json'
    curl -H "$J" -d '{"name": "ada", "password": "correct horse battery"}' localhost:8000/users
    curl -H "$J" -d '{"name": "ada", "password": "correct horse battery"}' localhost:8000/login
    A='Authorization: Bearer ACCESS_TOKEN'
    curl -X PUT -H "$J" -H "$A" -d '{"mnemonic": "legal winner thank"}' localhost:8000/mnemonic
    curl -H "$A" localhost:8000/mnemonic
    curl localhost:8000/status

`app.py` opens everything and holds the routes, `settings.py` says what the application needs to know, `users.py` is the
database, `access_tokens.py` the JWT. `make run` starts it too, and calls it.
"""
