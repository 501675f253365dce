#include "nas/supernet/widen.h"

#include <algorithm>
#include <optional>
#include <unordered_map>
#include <unordered_set>

#include "engine/base/rng.h"
#include "ops/constants.h"

namespace nascent {
namespace {

using Values = std::vector<double>;
using Names = std::unordered_set<std::string>;

/// Old channels of the new ones: all of them in order, then copies.
struct Channels {
    std::vector<int> from;
    int old = 0;
    int copies(int channel) const {
        return static_cast<int>(std::count(from.begin(), from.end(), from[static_cast<std::size_t>(channel)]));
    }
    std::size_t size() const { return from.size(); }
};

class Widener {
  public:
    Widener(SearchNet& from, SearchNet& to, Widening how, std::uint64_t seed, std::uint64_t stage)
        : from_(from.store()),
          to_(to.store()),
          old_buffers_(by_name(from_)),
          buffers_(by_name(to_)),
          released_(how == Widening::released),
          seed_(seed),
          stage_(stage) {}

    /// Where its layers are wider; their names go to `done`.
    void widen(const std::vector<std::string>& layers, Names& done) {
        std::optional<Channels> now, input;  // channels of what the next layer reads; of the operator's input
        std::vector<Channels> halves;        // of convolutions that no batch-norm followed yet
        bool after_depthwise = false;
        for (const std::string& name : layers) {
            const int weight = to_.find(name + ".weight");
            if (weight < 0) {
                statistics(name, halves, now, done);
                now = joined(halves);
                halves.clear();
                continue;
            }
            const Shape old = shape(from_, name + ".weight"), wide = shape(to_, name + ".weight");
            NASCENT_CHECK(old.rank() == wide.rank() && (wide.rank() == 3 || wide.rank() == 4), runtime,
                          "'{}' is no convolution of operators without gamma", name);
            done.insert(name + ".weight");
            if (wide.rank() == 3) {
                if (released_ || !now) now = draw(old[2], wide[2]);
                copy(name, old, wide, {*now, {}});
            } else {
                const bool goes_on = after_depthwise || (!released_ && now && halves.empty());
                const bool beside = !released_ && !halves.empty();  // the second half reads what the first does
                input = goes_on ? *now : beside ? *input : draw(old[2], wide[2]);
                halves.push_back(draw(old[3], wide[3]));
                copy(name, old, wide, {*input, halves.back()});
                now = halves.back();
            }
            after_depthwise = wide.rank() == 3;
        }
    }

    void copy_others(const Names& done) {
        auto others = [&](const std::string& name) { return !done.contains(name); };
        for (std::size_t p = 0; p < to_.parameters().size(); p++) {
            const std::string& name = to_.parameters()[p].name;
            if (!others(name)) continue;
            const int at = from_.find(name), to = static_cast<int>(p);
            NASCENT_CHECK(at >= 0 && shape(from_, name) == to_.parameters()[p].shape, runtime,
                          "'{}' is of another shape in the network that is widened", name);
            write_numbers(to_.raw(to), numbers_of(from_.raw(at)));
            write_numbers(to_.raw_momentum(to), numbers_of(from_.raw_momentum(at)));
        }
        NASCENT_CHECK(
            from_.parameters().size() == to_.parameters().size() && from_.buffers().size() == to_.buffers().size(),
            runtime, "networks of {} and {} parameters, {} and {} buffers", from_.parameters().size(),
            to_.parameters().size(), from_.buffers().size(), to_.buffers().size());
        // By name: what goes round operators has ranges without parameters, which are not there where nothing does.
        std::unordered_map<std::string, std::int64_t> last;
        for (const ParameterRange& r : from_.ranges()) last.emplace(r.name, r.last_step);
        for (std::size_t r = 0; r < to_.ranges().size(); r++) {
            ParameterRange& range = to_.range(static_cast<int>(r));
            const auto found = last.find(range.name);
            NASCENT_CHECK(found != last.end(), runtime, "the network that is widened has no range '{}'", range.name);
            range.last_step = found->second;
        }
        for (const Buffer& b : to_.buffers())
            if (others(b.name)) write_numbers(b.tensor, numbers_of(buffer(old_buffers_, b.name)));
    }

  private:
    static Shape shape(const ParameterStore& store, const std::string& name) {
        const int p = store.find(name);
        NASCENT_CHECK(p >= 0, runtime, "the network that is widened has no '{}'", name);
        return store.parameters()[static_cast<std::size_t>(p)].shape;
    }
    using Buffers = std::unordered_map<std::string, Tensor>;
    static Buffers by_name(const ParameterStore& store) {
        Buffers all;
        for (const Buffer& b : store.buffers()) all.emplace(b.name, b.tensor);
        return all;
    }
    static Tensor buffer(const Buffers& buffers, const std::string& name) {
        const auto found = buffers.find(name);
        NASCENT_CHECK(found != buffers.end(), runtime, "the network that is widened has no '{}'", name);
        return found->second;
    }

    Channels draw(std::int64_t old, std::int64_t wide) {
        NASCENT_CHECK(old > 0 && wide >= old, runtime, "{} channels do not become {} by widening", old, wide);
        Channels c{{}, static_cast<int>(old)};
        for (int i = 0; i < wide; i++)
            c.from.push_back(i < old
                                 ? i
                                 : static_cast<int>(Random(seed_, RandomStream::widening, stage_, drawn_++).uniform(0) *
                                                    static_cast<double>(old)));
        return c;
    }
    /// Of convolutions side by side.
    static Channels joined(const std::vector<Channels>& halves) {
        Channels all;
        for (const Channels& half : halves) {
            for (int i : half.from) all.from.push_back(i + all.old);
            all.old += half.old;
        }
        return all;
    }

    struct Ends {
        Channels in, out;  // of a depthwise convolution (k, k, c) only `in`
    };
    void copy(const std::string& name, const Shape& old, const Shape& wide, const Ends& ends) {
        const int at = from_.find(name + ".weight"), to = to_.find(name + ".weight");
        const bool dense = wide.rank() == 4;
        const std::size_t area = static_cast<std::size_t>(wide[0] * wide[1]), ins = ends.in.size(),
                          outs = dense ? ends.out.size() : 1;
        auto spread = [&](const Values& from, bool divides) {
            Values all;
            for (std::size_t tap = 0; tap < area; tap++)
                for (std::size_t i = 0; i < ins; i++)
                    for (std::size_t o = 0; o < outs; o++) {
                        const std::size_t row =
                            tap * static_cast<std::size_t>(old[2]) + static_cast<std::size_t>(ends.in.from[i]);
                        const double value = dense ? from[row * static_cast<std::size_t>(old[3]) +
                                                          static_cast<std::size_t>(ends.out.from[o])]
                                                   : from[row];
                        all.push_back(divides ? value / ends.in.copies(static_cast<int>(i)) : value);
                    }
            return all;
        };
        // What a depthwise convolution reads twice it does not add up.
        write_numbers(to_.raw(to), spread(numbers_of(from_.raw(at)), dense && !released_));
        write_numbers(to_.raw_momentum(to), spread(numbers_of(from_.raw_momentum(at)), false));
    }

    /// A batch-norm's running statistics, after convolutions or of a pool.
    void statistics(const std::string& name, const std::vector<Channels>& halves, const std::optional<Channels>& now,
                    Names& done) {
        const bool tracked = buffers_.contains(name + ".running_mean");
        if (!tracked) return;
        const std::int64_t old = buffer(old_buffers_, name + ".running_mean").shape[0],
                           wide = buffer(buffers_, name + ".running_mean").shape[0];
        Channels c = halves.empty() ? now && !released_ ? *now : draw(old, wide) : joined(halves);
        if (released_ && halves.size() == 2) {
            // The second half's channels are counted from 0, and what is new stands behind all that is old.
            c.from.clear();
            for (int i = 0; i < old; i++) c.from.push_back(i);
            for (const Channels& half : halves)
                c.from.insert(c.from.end(), half.from.begin() + half.old, half.from.end());
        }
        for (const char* of : {".running_mean", ".running_var"}) {
            const Values from = numbers_of(buffer(old_buffers_, name + of));
            Values all;
            for (int i : c.from) all.push_back(from[static_cast<std::size_t>(i)]);
            write_numbers(buffer(buffers_, name + of), all);
            done.insert(name + of);
        }
    }

    const ParameterStore& from_;
    ParameterStore& to_;
    Buffers old_buffers_, buffers_;
    bool released_;
    std::uint64_t seed_, stage_;
    std::uint32_t drawn_ = 0;
};

}  // namespace

void widen(SearchNet& from, SearchNet& to, Widening how, std::uint64_t seed, std::uint64_t stage) {
    Widener widener(from, to, how, seed, stage);
    Names done;
    for (const std::vector<std::string>& layers : to.operators()) widener.widen(layers, done);
    widener.copy_others(done);
}

}  // namespace nascent
