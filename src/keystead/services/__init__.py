"""The public faces, each bound to one session: KMSService, SecretsManager, ConfigLoader."""
