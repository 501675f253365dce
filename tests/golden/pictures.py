#!/usr/bin/env python3
"""Writes tests/golden/pictures.json: CRC-32s of what Pillow and OpenCV make of pictures that are a formula.

Debian: apt-get install python3-pil python3-opencv. The tests compute the same pictures and compare."""
import json
import os
import zlib

import cv2
import numpy as np
import PIL
from PIL import Image, ImageEnhance


def noise(height, width, seed):
    """Byte i is the top byte of (i + seed) * 2654435761 mod 2^32, squared mod 2^32."""
    i = np.arange(height * width * 3, dtype=np.uint64) + np.uint64(seed)
    v = i * np.uint64(2654435761) % np.uint64(1 << 32)
    v = v * v % np.uint64(1 << 32)
    return (v >> np.uint64(24)).astype(np.uint8).reshape(height, width, 3)


def crc(pixels):
    return zlib.crc32(np.ascontiguousarray(pixels).tobytes())


def main():
    resize, colour, turned = [], [], []
    sizes = [(1, 1, 1, 1), (1, 1, 5, 4), (7, 9, 7, 9), (3, 5, 224, 224), (50, 60, 25, 30), (50, 61, 25, 30), (51, 60, 25, 30),
             (375, 500, 224, 224), (333, 500, 256, 384), (224, 300, 224, 64), (90, 64, 64, 64), (64, 33, 65, 100),
             (200, 3, 10, 3), (17, 1000, 32, 7)]
    for seed, (h, w, to_h, to_w) in enumerate(sizes):
        picture = noise(h, w, seed)
        if seed % 3 == 0:
            picture = np.where(picture > 127, 255, 0).astype(np.uint8)
        resize.append({"seed": seed, "from": [h, w], "to": [to_h, to_w], "two_values": seed % 3 == 0,
                       "pillow": crc(np.asarray(Image.fromarray(picture).resize((to_w, to_h), Image.BILINEAR))),
                       "opencv": crc(cv2.resize(picture, (to_w, to_h), interpolation=cv2.INTER_LINEAR))})
    kinds = {"brightness": ImageEnhance.Brightness, "contrast": ImageEnhance.Contrast, "saturation": ImageEnhance.Color}
    for seed, (h, w) in enumerate([(1, 1), (3, 5), (16, 16), (37, 41)]):
        image = Image.fromarray(noise(h, w, seed))
        for factor in (0.0, 0.125, 0.6, 0.9375, 1.0, 1.0625, 1.4, 3.5):
            factor = float(np.float32(factor))
            colour.append({"seed": seed, "size": [h, w], "factor": factor,
                           **{name: crc(np.asarray(kind(image).enhance(factor))) for name, kind in kinds.items()}})
        for shift in (0, 1, 51, 128, 205, 255):
            hue, saturation, value = image.convert("HSV").split()
            hue = Image.fromarray(np.array(hue) + np.uint8(shift), "L")
            colour.append({"seed": seed, "size": [h, w], "shift": shift,
                           "hue": crc(np.asarray(Image.merge("HSV", (hue, saturation, value)).convert("RGB")))})
    image = Image.fromarray(noise(5, 7, 9))
    for orientation, method in {2: Image.FLIP_LEFT_RIGHT, 3: Image.ROTATE_180, 4: Image.FLIP_TOP_BOTTOM, 5: Image.TRANSPOSE,
                                6: Image.ROTATE_270, 7: Image.TRANSVERSE, 8: Image.ROTATE_90}.items():
        turned.append({"orientation": orientation, "crc": crc(np.asarray(image.transpose(method)))})  # ImageOps.exif_transpose
    rows = lambda items: "[\n" + ",\n".join("  " + json.dumps(i) for i in items) + "]"
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "pictures.json"), "w") as f:
        f.write(f'{{"pillow": "{PIL.__version__}", "opencv": "{cv2.__version__}",\n"resize": {rows(resize)},\n'
                f'"colour": {rows(colour)},\n"turned": {rows(turned)}}}\n')


if __name__ == "__main__":
    main()
