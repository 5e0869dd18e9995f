"""tvm-ffi tensors over given memory, by DLPack's C structures (dlpack.h): no array library is needed to make them."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any, ClassVar

CPU = 1
CAPSULE = b"dltensor"


class _Device(ctypes.Structure):
    _fields_ = [("kind", ctypes.c_int32), ("index", ctypes.c_int32)]


class _Type(ctypes.Structure):
    _fields_ = [("code", ctypes.c_uint8), ("bits", ctypes.c_uint8), ("lanes", ctypes.c_uint16)]


class _Tensor(ctypes.Structure):
    _fields_ = [
        ("data", ctypes.c_void_p), ("device", _Device), ("ndim", ctypes.c_int32), ("dtype", _Type),
        ("shape", ctypes.POINTER(ctypes.c_int64)), ("strides", ctypes.POINTER(ctypes.c_int64)), ("byte_offset", ctypes.c_uint64),
    ]  # fmt: skip


class _Managed(ctypes.Structure):
    _fields_ = [("tensor", _Tensor), ("context", ctypes.c_void_p), ("deleter", ctypes.c_void_p)]


class _Producer:
    """What `from_dlpack` asks. Keeps the structures alive for as long as the tensor may be read: as long as this process."""

    kept: ClassVar[list[Any]] = []

    def __init__(self, managed: _Managed, *parts: Any) -> None:
        self.managed = managed
        self.kept.append((managed, *parts))
        del self.kept[:-256]  # a call has a few tensors, and one call is bound at a time

    def __dlpack__(self, **_: Any) -> Any:
        make = ctypes.pythonapi.PyCapsule_New
        make.restype, make.argtypes = ctypes.py_object, [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
        return make(ctypes.addressof(self.managed), CAPSULE, None)

    def __dlpack_device__(self) -> tuple[int, int]:
        return CPU, 0


def tensor_at(address: int, shape: Sequence[int], dtype: str) -> Any:
    """A contiguous tvm_ffi.Tensor on `address`."""
    import tvm_ffi

    kind = tvm_ffi.dtype(dtype)
    strides = [1]
    for extent in reversed(shape[1:]):
        strides.insert(0, strides[0] * extent)
    extents, steps = (ctypes.c_int64 * len(shape))(*shape), (ctypes.c_int64 * len(shape))(*strides[: len(shape)])
    tensor = _Tensor(address, _Device(CPU, 0), len(shape), _Type(kind.type_code, kind.bits, kind.lanes), extents, steps, 0)
    return tvm_ffi.from_dlpack(_Producer(_Managed(tensor, None, None), extents, steps))
