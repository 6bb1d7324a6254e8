"""The application: what is opened at the start, in which order, and the routes."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated, Any, TypedDict

import jwt
from fastapi import Depends, FastAPI, HTTPException, Request, status
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel, Field, SecretStr

from fastapi_app.access_tokens import AccessTokens
from fastapi_app.settings import Settings
from fastapi_app.users import NameTaken, Users
from keystead import ConfigLoader, KMSService, SecretsManager
from keystead.errors import DataError, KeysteadError, NotFound


@dataclass(frozen=True)
class Services:
    """What the routes work with."""

    kms: KMSService
    secrets: SecretsManager
    config: ConfigLoader[Settings]
    users: Users
    access_tokens: AccessTokens


class State(TypedDict):
    """What every request can reach."""

    services: Services


def open_services(kms: KMSService) -> Services:
    """Everything, in its order: the store, its secrets, the configuration; the database only after these.

    Raises:
        KeysteadError: what is missing or wrong, and what to do next, without any value.
    """
    kms.initialize()
    secrets = SecretsManager(kms)
    secrets.initialize(names=("JWT_SECRET", "DATABASE_URI"))
    config = ConfigLoader(Settings)
    settings = config.load(secrets)
    users = Users(settings.database_path)
    return Services(kms, secrets, config, users, AccessTokens(settings.jwt_secret, settings.access_token_lifetime))


@asynccontextmanager
async def lifespan(_app: FastAPI) -> AsyncIterator[State]:
    """No route is served before all is open; a start that fails says why and ends the process."""
    logging.basicConfig(level=logging.INFO, format="[%(levelname)s] %(message)s")
    kms = KMSService()
    try:
        try:
            services = open_services(kms)
        except KeysteadError as error:
            raise RuntimeError(_told(error)) from None
        yield {"services": services}
    finally:
        kms.close()


def _told(error: KeysteadError) -> str:
    lines = [("why", error.why), ("next", error.hint)]
    told = "".join(f"\n  {label:<5} {text}" for label, text in lines if text)
    return f"the application cannot start: {error.message}{told}"


app = FastAPI(title="keystead example", lifespan=lifespan)


def open_now(request: Request) -> Services:
    """What the lifespan opened."""
    services: Services = request.state.services
    return services


Open = Annotated[Services, Depends(open_now)]
Bearer = Annotated[HTTPAuthorizationCredentials | None, Depends(HTTPBearer(auto_error=False))]


def caller(services: Open, bearer: Bearer) -> str:
    """The user who calls, by the access token that comes with the request."""
    try:
        return services.access_tokens.check(bearer.credentials if bearer else "")
    except jwt.InvalidTokenError:
        refusal = "give a valid access token: POST /login"
        raise HTTPException(status.HTTP_401_UNAUTHORIZED, refusal, headers={"WWW-Authenticate": "Bearer"}) from None


Caller = Annotated[str, Depends(caller)]


class Account(BaseModel):
    """Name and password, as they come in."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,31}$")]
    password: Annotated[SecretStr, Field(min_length=10, max_length=200)]


class Mnemonic(BaseModel):
    """The words to keep."""

    mnemonic: Annotated[SecretStr, Field(min_length=1, max_length=1000)]


@app.post("/users", status_code=status.HTTP_201_CREATED)
def register(account: Account, services: Open) -> dict[str, str]:
    """Become a user."""
    try:
        return {"user": services.users.register(account.name, account.password.get_secret_value())}
    except NameTaken:
        raise HTTPException(status.HTTP_409_CONFLICT, "this name is taken; choose another") from None


@app.post("/login")
def login(account: Account, services: Open) -> dict[str, str]:
    """An access token for name and password."""
    user = services.users.check_password(account.name, account.password.get_secret_value())
    if user is None:
        raise HTTPException(status.HTTP_401_UNAUTHORIZED, "no user has this name and this password")
    return {"access_token": services.access_tokens.issue(user), "token_type": "bearer"}


@app.put("/mnemonic", status_code=status.HTTP_204_NO_CONTENT)
def put_mnemonic(body: Mnemonic, user: Caller, services: Open) -> None:
    """Keep the caller's mnemonic, in an envelope that opens for this user only."""
    envelope = services.kms.encrypt_data(body.mnemonic.get_secret_value(), aad={"user": user})
    if not services.users.put_mnemonic(user, json.dumps(envelope)):
        raise HTTPException(status.HTTP_404_NOT_FOUND, "this user is gone")


@app.get("/mnemonic")
def get_mnemonic(user: Caller, services: Open) -> dict[str, str]:
    """The caller's mnemonic. An envelope that was made for another user is refused, whoever put it here."""
    envelope = services.users.mnemonic(user)
    if envelope is None:
        raise HTTPException(status.HTTP_404_NOT_FOUND, "no mnemonic is kept for this user")
    try:
        return {"mnemonic": services.kms.decrypt_data(envelope, aad={"user": user})}
    except (DataError, NotFound):
        raise HTTPException(status.HTTP_403_FORBIDDEN, "what is kept here does not open for this user") from None


@app.get("/status")
def show_status(services: Open) -> dict[str, Any]:
    """Figures and names, for whoever watches the application; never a value."""
    store, cache = services.kms.get_status(), services.secrets.get_status()
    return {
        "initialized": store.initialized,
        "store_answers": store.store_answers,
        "secrets_count": store.secrets_count,
        "active_data_keys": store.active_data_keys,
        "rotation_due": store.rotation_due,
        "failed_secrets": sorted(cache.failed),
        "cache_hit_rate": cache.hit_rate,
        "settings_from": services.config.get_status().sources,
        "public": services.config.get_public(),
        "users": services.users.count(),
    }


@app.exception_handler(RequestValidationError)
def refuse_request(_request: Request, error: RequestValidationError) -> JSONResponse:
    """What is wrong with a request, without repeating what was sent: it may hold a password."""
    problems = [{"where": problem["loc"], "what": problem["msg"]} for problem in error.errors()]
    return JSONResponse({"detail": problems}, status.HTTP_422_UNPROCESSABLE_CONTENT)


@app.exception_handler(KeysteadError)
def refuse_service(_request: Request, error: KeysteadError) -> JSONResponse:
    """The store cannot serve this now. The message is for the log; the caller gets the code."""
    logging.getLogger(__name__).error("%s (%s)", error, error.code)
    return JSONResponse({"detail": "not available now", "code": error.code}, status.HTTP_503_SERVICE_UNAVAILABLE)
