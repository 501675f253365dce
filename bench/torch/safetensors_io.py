"""Reads and writes safetensors files with NumPy alone: u64le header length, JSON header, one buffer."""
import json
import struct

import numpy as np

DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1", "U8": "u1",
          "BOOL": "?"}
NAMES = {np.dtype(v): k for k, v in DTYPES.items()}


def load(path):
    """Returns ({name: array}, {metadata key: string}). Raises ValueError where the file contradicts itself."""
    with open(path, "rb") as f:
        raw = f.read()
    size = struct.unpack_from("<Q", raw)[0] if len(raw) >= 8 else len(raw)
    if 8 + size > len(raw):
        raise ValueError(f"{path}: the header ends at byte {8 + size}, the file at {len(raw)}")
    header = json.loads(raw[8:8 + size])
    metadata = header.pop("__metadata__", {})
    tensors = {}
    for name, entry in header.items():
        if entry["dtype"] not in DTYPES:
            raise ValueError(f"{path}: {name}: dtype {entry['dtype']} is not supported")
        dtype, (begin, end) = np.dtype(DTYPES[entry["dtype"]]), entry["data_offsets"]
        count = int(np.prod(entry["shape"], dtype=np.int64))
        if not 0 <= begin <= end <= len(raw) - 8 - size or end - begin != count * dtype.itemsize:
            raise ValueError(f"{path}: {name}: offsets {begin}..{end} do not fit shape {entry['shape']} {dtype}")
        tensors[name] = np.frombuffer(raw, dtype, count, 8 + size + begin).reshape(entry["shape"]).copy()
    return tensors, metadata


def save(path, tensors, metadata=None):
    """Writes {name: array}; tensors lie in the order of their names, the buffer starts at a multiple of 8."""
    header, offset = {"__metadata__": metadata} if metadata else {}, 0
    # Wide types first keeps every tensor aligned to its own item size. (ascontiguousarray would make scalars 1-d.)
    arrays = sorted(((k, np.asarray(v, order="C")) for k, v in tensors.items()), key=lambda kv: (-kv[1].itemsize, kv[0]))
    for name, a in arrays:
        header[name] = {"dtype": NAMES[a.dtype.newbyteorder("<") if a.itemsize > 1 else a.dtype], "shape": list(a.shape),
                        "data_offsets": [offset, offset + a.nbytes]}
        offset += a.nbytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text)
        for _, a in arrays:
            f.write(a.astype(a.dtype.newbyteorder("<"), copy=False).tobytes())
