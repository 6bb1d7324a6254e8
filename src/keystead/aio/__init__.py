"""The services for async code: the same names, parameters and results, one logic beneath.

    async with keystead.aio.connect() as store:
        (await store.secrets.get_secret("JWT_SECRET")).reveal()

What is done in no time (a cached secret, encrypting and decrypting under a key that is at hand) is tried on the event
loop first. Only what may have to wait for the store, the audit log or another thread goes to a thread, once a call.
Cancelling such a call ends the waiting; what was begun is finished.
"""

from keystead.aio.config_loader import ConfigLoader
from keystead.aio.connection import Connection, connect
from keystead.aio.grant_operations import GrantOperations
from keystead.aio.identity_operations import IdentityOperations, TokenOperations
from keystead.aio.key_operations import SlotOperations
from keystead.aio.kms import AuditOperations, KMSService
from keystead.aio.policy_operations import PolicyOperations
from keystead.aio.secrets_manager import SecretsManager

__all__ = [
    "AuditOperations",
    "ConfigLoader",
    "Connection",
    "GrantOperations",
    "IdentityOperations",
    "KMSService",
    "PolicyOperations",
    "SecretsManager",
    "SlotOperations",
    "TokenOperations",
    "connect",
]
