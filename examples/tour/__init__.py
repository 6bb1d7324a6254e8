"""What `run.py` needs beside its steps: searching files for plaintext, running commands, calling the application."""
