#include "nas/algo/evaluate.h"

#include "engine/autograd/execution.h"
#include "ops/reference.h"

namespace nascent {

void Score::add(double mean, const Score& batch) {
    loss += mean * static_cast<double>(batch.pictures);
    pictures += batch.pictures;
    top1 += batch.top1;
    top5 += batch.top5;
}

Score hits(const Tensor& logits, const Tensor& labels) {
    std::vector<std::byte> numbers(logits.bytes()), wanted(labels.bytes());
    labels.device->copy_out(wanted.data(), labels.data, wanted.size());
    logits.device->copy_out(numbers.data(), logits.data, numbers.size());
    Tensor l = logits, w = labels;
    l.data = numbers.data();
    w.data = wanted.data();
    return hits_on_host(l, w);
}

Score hits_on_host(const Tensor& logits, const Tensor& labels) {
    const auto n = static_cast<std::size_t>(logits.shape[0]), classes = static_cast<std::size_t>(logits.shape[1]);
    const std::span<const std::int32_t> wanted = labels.span<std::int32_t>();
    Score score;
    score.pictures = static_cast<std::int64_t>(n);
    with_type(logits.dtype, [&](auto zero) {
        const std::span<const decltype(zero)> all = logits.span<decltype(zero)>();
        for (std::size_t i = 0; i < n; i++) {
            const auto* row = &all[i * classes];
            const auto label = static_cast<std::size_t>(wanted[i]);
            int before = 0;  // classes that come before the label; what cannot be compared does
            for (std::size_t c = 0; c < classes; c++)
                before += c != label && !(c < label ? row[c] < row[label] : row[c] <= row[label]);
            score.top1 += before < 1;
            score.top5 += before < 5;
        }
    });
    return score;
}

Score evaluate(SearchNet& net, Arena& arena, const BatchSource& source, std::int64_t first, std::int64_t steps,
               const std::function<bool()>& stop, Pass pass) {
    Score score;
    for (std::int64_t step = first; step < first + steps && !stop(); step++) {
        arena.reset();
        ExecutionScope execution(arena);
        const LabelledBatch batch = source.batch(step);
        net.begin(pass, step / source.steps_per_epoch, step);
        const Tensor logits = net.logits(batch.x, false);
        const Tensor loss = cross_entropy(logits, batch.labels);
        score.add(read_scalar(loss), hits(logits, batch.labels));
    }
    return score;
}

}  // namespace nascent
