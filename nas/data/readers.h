// The readers behind load_dataset(); each fills classes, class_names, train and test.
#pragma once
#include <string>

#include "nas/data/dataset.h"

namespace nascent {

/// `fine` is CIFAR-100 with its fine labels. Record: [coarse label,] label, 1024 R, 1024 G, 1024 B, row-major
/// (https://www.cs.toronto.edu/~kriz/cifar.html).
Dataset read_cifar(const std::string& path, bool fine, const DatasetOptions& options);

Dataset read_folder(const std::string& path, const DatasetOptions& options);

/// DIR/train.pack and DIR/test.pack or DIR/val.pack, of pictures of one size.
Dataset read_packs(const std::string& path, const DatasetOptions& options);

/// Chrabaszcz, Loshchilov & Hutter 2017 (arXiv:1707.08819), 16x16; NAS-Bench-201 keeps labels 1..120.
Dataset read_imagenet16(const std::string& path, const DatasetOptions& options);

/// Picture i of a split is a pure function of (seed, split, i), the same bits on every machine.
Dataset make_synthetic(const DatasetOptions& options);

/// Planes R, G, B of `area` bytes each to interleaved RGB.
void interleave(const std::uint8_t* planes, std::size_t area, std::uint8_t* rgb);

/// Throws Error(data) when `count` pictures of height x width cannot fit into this machine's memory; else makes room.
void reserve_pixels(Pictures& pictures, std::size_t count, const std::string& what);

}  // namespace nascent
