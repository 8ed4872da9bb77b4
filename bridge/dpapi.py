"""Seals secrets by Windows' Data Protection API, for the account that the bridge runs as.

Only another process of the same account on the same machine can open them; the name of the secret goes in as entropy.
Written to Microsoft's description of CryptProtectData; it has not been run on Windows by its authors yet, only its
marshalling is tested (docs/security.md, "keys at rest").
"""

import ctypes
import os
from typing import Any, Final

from bridge.secret_store import StoreKind
from parking.errors import Code, Environment

UI_FORBIDDEN: Final = 0x1
"""CRYPTPROTECT_UI_FORBIDDEN: a service has nobody to ask."""

_ENTROPY: Final = b"daiko-sealed-v1\0"


class Blob(ctypes.Structure):
    """DATA_BLOB: a length (DWORD) and where the bytes lie."""

    _fields_ = (("length", ctypes.c_uint32), ("data", ctypes.POINTER(ctypes.c_char)))


def to_blob(content: bytes) -> Blob:
    """A blob over a copy of `content`, which it keeps alive."""
    buffer = ctypes.create_string_buffer(content, len(content))
    blob = Blob(len(content), ctypes.cast(buffer, ctypes.POINTER(ctypes.c_char)))
    blob.keep = buffer
    return blob


def from_blob(blob: Blob) -> bytes:
    """A copy of the bytes that a blob points to."""
    return ctypes.string_at(blob.data, blob.length)


class DpapiSealer:
    """Seals for this account on this machine."""

    kind: Final = StoreKind.DPAPI

    def __init__(self) -> None:
        """Raise Environment(CONFIG) anywhere but on Windows."""
        if os.name != "nt":
            raise Environment(Code.CONFIG, "DPAPI is there on Windows only", 'set [keys] store = "auto"')

    def seal(self, name: str, secret: bytes) -> bytes:
        """See bridge.secret_store.Sealer."""
        return self._call("CryptProtectData", name, secret)

    def unseal(self, name: str, sealed: bytes) -> bytes:
        """See bridge.secret_store.Sealer."""
        return self._call("CryptUnprotectData", name, sealed)

    @staticmethod
    def _call(function: str, name: str, content: bytes) -> bytes:
        libraries: Any = ctypes
        crypt, kernel = libraries.WinDLL("crypt32", use_last_error=True), libraries.WinDLL("kernel32")
        kernel.LocalFree.argtypes = (ctypes.c_void_p,)
        kernel.LocalFree.restype = ctypes.c_void_p
        given, entropy, result = to_blob(content), to_blob(_ENTROPY + name.encode()), Blob()
        pointer = ctypes.POINTER(Blob)
        call = getattr(crypt, function)
        call.argtypes = (pointer, ctypes.c_void_p, pointer, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint32, pointer)
        call.restype = ctypes.c_int
        done = call(ctypes.byref(given), None, ctypes.byref(entropy), None, None, UI_FORBIDDEN, ctypes.byref(result))
        if not done:
            number = libraries.get_last_error()
            raise Environment(
                Code.CONFIG,
                f"{name}: {function} failed with error {number}",
                "run the command as the account of the bridge's service, or enrol again",
            )
        try:
            return from_blob(result)
        finally:
            kernel.LocalFree(result.data)
