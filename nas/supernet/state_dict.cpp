#include "nas/supernet/state_dict.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>

#include "nas/supernet/torch_layout.h"
#include "ops/constants.h"

namespace nascent {
namespace {

std::vector<std::int64_t> torch_shape(const Shape& s) {
    if (s.rank() == 4) return {s[3], s[2], s[0], s[1]};
    std::vector<std::int64_t> dims;
    dims.reserve(static_cast<std::size_t>(s.rank()));
    for (int i = 0; i < s.rank(); i++) dims.push_back(s[i]);
    return dims;
}

std::vector<double> doubles_of(DType dtype, const void* host, std::size_t count) {
    return with_type(dtype, [&](auto zero) {
        const auto* p = static_cast<const decltype(zero)*>(host);
        return std::vector<double>(p, p + count);
    });
}

constexpr const char* counter_suffix = ".num_batches_tracked";

}  // namespace

StateDict StateDict::of(const Nb201Supernet& net, const Sgd* optimizer) {
    StateDict state;
    const ParameterStore& store = net.store();
    each_parameter(store, optimizer, [&](int p, const std::byte* elements) {
        const Parameter& meta = store.parameters()[static_cast<std::size_t>(p)];
        const std::vector<double> stored = doubles_of(store.dtype(), elements, meta.shape.size());
        Entry entry{torch_shape(meta.shape), std::vector<double>(stored.size())};
        for (std::size_t i = 0; i < stored.size(); i++) entry.values[i] = stored[stored_index(meta.shape, i)];
        state.set(meta.name, std::move(entry));
    });
    for (const Buffer& b : store.buffers()) state.set(b.name, {torch_shape(b.tensor.shape), numbers_of(b.tensor)});
    for (const auto& c : net.batch_counts()) state.set(c.module + counter_suffix, {{}, {static_cast<double>(c.count)}});
    return state;
}

StateDict StateDict::read(const std::string& path) {
    const SafeTensors file = SafeTensors::read(path);
    StateDict state;
    state.metadata_ = file.metadata();
    for (const SafeTensor& t : file.tensors()) {
        Entry entry{t.shape, {}};
        auto convert = [&](auto zero) {
            using T = decltype(zero);
            entry.values.resize(t.bytes.size() / sizeof(T));
            for (std::size_t i = 0; i < entry.values.size(); i++) {
                T v;
                std::memcpy(&v, t.bytes.data() + i * sizeof(T), sizeof(T));
                entry.values[i] = static_cast<double>(v);
            }
        };
        if (t.dtype == SafeDtype::f32)
            convert(float{});
        else if (t.dtype == SafeDtype::f64)
            convert(double{});
        else if (t.dtype == SafeDtype::i64)
            convert(std::int64_t{});
        else
            fail(ErrorKind::checkpoint, "{}: tensor '{}' is {}, expected F32, F64 or I64", path, t.name,
                 name_of(t.dtype));
        state.set(t.name, std::move(entry));
    }
    return state;
}

void StateDict::write(const std::string& path, DType dtype, const std::map<std::string, std::string>& metadata) const {
    std::vector<std::vector<std::byte>> bytes;
    std::vector<SafeTensor> tensors;
    for (const auto& named : entries_) {
        const std::string& name = named.first;
        const Entry& entry = named.second;
        auto convert = [&](auto zero, SafeDtype type) {
            using T = decltype(zero);
            std::vector<std::byte>& to = bytes.emplace_back(entry.values.size() * sizeof(T));
            for (std::size_t i = 0; i < entry.values.size(); i++) {
                const T v = static_cast<T>(entry.values[i]);
                std::memcpy(to.data() + i * sizeof(T), &v, sizeof(T));
            }
            tensors.push_back({name, type, entry.shape, to});
        };
        if (name.ends_with(counter_suffix))
            convert(std::int64_t{}, SafeDtype::i64);
        else if (dtype == DType::f64)
            convert(double{}, SafeDtype::f64);
        else
            convert(float{}, SafeDtype::f32);
    }
    write_safetensors(path, std::move(tensors), metadata);
}

const StateDict::Entry& StateDict::at(const std::string& name) const {
    const auto found = entries_.find(name);
    NASCENT_CHECK(found != entries_.end(), checkpoint, "there is no tensor '{}'", name);
    return found->second;
}

void StateDict::load_into(Nb201Supernet& net, const std::string& source) const {
    Scope scope("{}", source);
    ParameterStore& store = net.store();
    std::size_t used = 0;
    auto values = [&](const std::string& name, const std::vector<std::int64_t>& shape) -> const std::vector<double>& {
        const Entry& e = at(name);
        NASCENT_CHECK(e.shape == shape, checkpoint, "tensor '{}' has the shape ({}), the network wants ({})", name,
                      fmt::join(e.shape, ", "), fmt::join(shape, ", "));
        used++;
        return e.values;
    };
    for (std::size_t p = 0; p < store.parameters().size(); p++) {
        const Parameter& meta = store.parameters()[p];
        const std::vector<double>& from = values(meta.name, torch_shape(meta.shape));
        std::vector<double> to(from.size());
        for (std::size_t i = 0; i < to.size(); i++) to[stored_index(meta.shape, i)] = from[i];
        write_numbers(store.raw(static_cast<int>(p)), to);
    }
    for (const Buffer& b : store.buffers()) write_numbers(b.tensor, values(b.name, torch_shape(b.tensor.shape)));
    for (auto& c : net.batch_counts()) c.count = static_cast<std::int64_t>(values(c.module + counter_suffix, {})[0]);
    // The published supernets carry architecture logits that RLNAS neither reads nor trains.
    used += entries_.count("arch_parameters");
    NASCENT_CHECK(used == entries_.size(), checkpoint, "{} tensors are not the network's", entries_.size() - used);
}

void each_parameter(const ParameterStore& store, const Sgd* optimizer,
                    const std::function<void(int, const std::byte*)>& f) {
    for (std::size_t r = 0; r < store.ranges().size(); r++) {
        const ParameterRange& range = store.ranges()[r];
        std::vector<std::byte> host(range.count * size_of(store.dtype()));
        if (optimizer)
            optimizer->peek(static_cast<int>(r), host.data());
        else
            store.device().copy_out(host.data(), range.weights, host.size());
        for (int p = range.first; p < range.first + range.parameters; p++)
            f(p, host.data() + store.parameters()[static_cast<std::size_t>(p)].offset * size_of(store.dtype()));
    }
}

AngleSums angle_sums(const StateDict& initial, const StateDict& trained, const std::string& name,
                     const std::vector<std::int64_t>& shape) {
    const StateDict::Entry &a = initial.at(name), &b = trained.at(name);
    NASCENT_CHECK(a.shape == shape && b.shape == shape && a.values.size() == b.values.size(), checkpoint,
                  "tensor '{}' has another shape than the network's", name);
    AngleSums s;
    for (std::size_t i = 0; i < a.values.size(); i++)
        s += {a.values[i] * b.values[i], a.values[i] * a.values[i], b.values[i] * b.values[i]};
    return s;
}

SupernetShape supernet_shape(const StateDict& state, const std::string& source) {
    Scope scope("{}", source);
    SupernetShape shape;
    const auto& stem = state.at("stem.0.weight").shape;
    const auto& classifier = state.at("classifier.weight").shape;
    NASCENT_CHECK(stem.size() == 4 && classifier.size() == 2, checkpoint,
                  "'stem.0.weight' or 'classifier.weight' has another rank than a network's");
    shape.config.channels = static_cast<int>(std::min<std::int64_t>(stem[0], 1 << 16));
    shape.config.classes = static_cast<int>(std::min<std::int64_t>(classifier[0], 1 << 24));
    int cells = 0;
    while (state.entries().count(fmt::format("cells.{}.edges.1<-0.2.op.1.weight", cells))) cells++;
    shape.config.cells_per_stage = cells;
    NASCENT_CHECK(cells > 0, checkpoint, "there is no searched cell 'cells.0' in it");
    shape.style.affine = state.entries().count("cells.0.edges.1<-0.2.op.2.weight") > 0;
    return shape;
}

}  // namespace nascent
