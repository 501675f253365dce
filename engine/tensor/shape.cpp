#include "engine/tensor/shape.h"

namespace nascent {

const char* name_of(DType t) {
    constexpr const char* names[] = {"float32", "float64", "int32", "uint8", "bfloat16"};
    return names[static_cast<std::size_t>(t)];
}

Shape::Shape(std::initializer_list<std::int64_t> dims) {
    NASCENT_CHECK(dims.size() <= dims_.size(), runtime, "a shape has at most {} extents, got {}", dims_.size(),
                  dims.size());
    for (std::int64_t d : dims) {
        NASCENT_CHECK(d >= 0, runtime, "an extent is not negative, got {}", d);
        dims_[static_cast<std::size_t>(rank_++)] = d;
    }
}

std::size_t Shape::size() const {
    std::size_t n = 1;
    for (int i = 0; i < rank_; i++) n *= static_cast<std::size_t>((*this)[i]);
    return n;
}

Shape Shape::with_first(std::int64_t extent) const {
    NASCENT_CHECK(rank_ > 0 && extent >= 0, runtime, "{} cannot have the first extent {}", text(), extent);
    Shape s = *this;
    s.dims_[0] = extent;
    return s;
}

std::string Shape::text() const {
    std::string s = "(";
    for (int i = 0; i < rank_; i++) s += (i ? ", " : "") + std::to_string((*this)[i]);
    return s + ")";
}

}  // namespace nascent
