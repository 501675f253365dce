#include "nas/algo/resident_batches.h"

#include <chrono>

#include "engine/autograd/execution.h"
#include "nas/data/augment.h"

namespace nascent {

bool ResidentPictures::can_hold(const BatchSource& source) const {
    constexpr std::size_t most = std::size_t{16} << 30;
    return arena_.device().kind() == DeviceKind::gpu && source.draws && source.pictures->pixels.size() <= most;
}

PictureInput ResidentPictures::input(const BatchSource& source, DType dtype) {
    const Pictures& p = *source.pictures;
    Device& device = arena_.device();
    Tensor& held = pictures_[&p];
    if (!held.defined()) {
        held = arena_.tensor({static_cast<std::int64_t>(p.count()), p.height, p.width, 3}, DType::u8);
        device.copy_in(held.data, p.pixels.data(), held.bytes());
    }
    PictureInput in;
    in.pictures = held;
    Tensor& table = tables_[{reinterpret_cast<const char*>(source.table.data()), source.table.size()}];
    if (!table.defined()) {
        table = arena_.tensor({256, 3}, dtype);
        NASCENT_CHECK(source.table.size() == table.bytes(), runtime, "the batches' pixels are no {}", name_of(dtype));
        device.copy_in(table.data, source.table.data(), table.bytes());
    }
    in.table = table;
    in.pad_y = crop_padding(p.height);
    in.pad_x = crop_padding(p.width);
    return in;
}

std::unique_ptr<ResidentBatches> ResidentBatches::of(ResidentPictures& pictures, const BatchSource& source,
                                                     DType dtype) {
    if (!pictures.can_hold(source)) return nullptr;
    auto batches = std::make_unique<ResidentBatches>();
    batches->source_ = source;
    batches->input_ = pictures.input(source, dtype);
    return batches;
}

void ResidentBatches::draw(std::int64_t step) {
    const auto start = std::chrono::steady_clock::now();
    source_.draws(step, now_);
    waited_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

LabelledBatch ResidentBatches::batch(std::int64_t step) {
    draw(step);
    input_.draws = empty({static_cast<std::int64_t>(now_.draws.size()), 4}, DType::i32);
    input_.draws.device->copy_in(input_.draws.data, now_.draws.data(), input_.draws.bytes());
    const Tensor labels = labels_to_device(now_.labels);
    return {picture_input(input_), labels};
}

BatchSource ResidentBatches::as_source() {
    BatchSource source = source_;
    source.batch = [this](std::int64_t step) { return batch(step); };
    return source;
}

void ResidentBatches::prepare(std::int64_t step, HostValues& values) {
    draw(step);
    Places& at = places_[now_.labels.size()];
    const auto n = static_cast<std::int64_t>(now_.labels.size());
    if (!at.draws.defined()) at = {values.tensor({n, 4}, DType::i32), values.tensor({n}, DType::i32)};
    values.write(at.draws.data, now_.draws.data(), at.draws.bytes());
    values.write(at.labels.data, now_.labels.data(), at.labels.bytes());
}

LabelledBatch ResidentBatches::prepared() const {
    const Places& at = places_.at(now_.labels.size());
    PictureInput in = input_;
    in.draws = at.draws;
    return {picture_input(in), at.labels};
}

}  // namespace nascent
