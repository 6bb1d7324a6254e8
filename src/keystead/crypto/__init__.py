"""Bytes to bytes: the composition of primitives into keystead's formats. The only importer of `cryptography`.

This room knows no secret names, no clock and no storage.
"""
