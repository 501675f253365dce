// ops: entries {op}/stride{s}, one operator of the DARTS space by itself, affine, in training and in evaluation mode.
#include <nlohmann/json.hpp>
#include <regex>

#include "nas/golden/kinds.h"
#include "nas/golden/tensors.h"
#include "nas/space/darts_layers.h"
#include "ops/reference.h"

namespace nascent::golden {
namespace {

using nlohmann::json;

/// The operator as a network of nothing else; its modules are named op.*.
darts::Net one_op(darts::Op op, int stride, int channels, int height, int width) {
    darts::Net net;
    darts::LayerWriter writer(net.layers);
    writer.at({.part = darts::Part::edge, .cell = 0, .place = 0, .op = static_cast<int>(op)});
    writer.op("op", op, {channels, {height, width}}, stride, false);
    return net;
}

struct OpRun {
    DartsNet net;
    darts::Op op;
    int stride;
    Tensor run(const Tensor& x, bool training) {
        if (!net.net().layers.empty()) return net.chain(x, training);
        return op == darts::Op::none ? zero(x, stride) : x;
    }
};

void check_mode(OpRun& o, bool training, Device& device, const json& expected, Report& report,
                const std::string& name) {
    std::vector<int> s;
    for (const auto& d : expected.at("dx").at("shape")) s.push_back(d.get<int>());
    NASCENT_CHECK(s.size() == 4, data, "{}: dx has {} extents, expected 4", name, s.size());
    Arena arena(device);
    ExecutionScope execution(arena);
    std::size_t size = 1;
    for (int d : s) size *= static_cast<std::size_t>(d);
    Tensor x = to_device(input(size, 99), s[0], s[1], s[2], s[3]);
    Tape tape(arena, &o.net.store());
    TapeScope recording(&tape);
    tape.watch(x);
    const Tensor y = o.run(x, training);
    const Tensor r = to_device(input(y.size(), 7), static_cast<int>(y.shape[0]), static_cast<int>(y.shape[3]),
                               static_cast<int>(y.shape[1]), static_cast<int>(y.shape[2]));
    tape.backward(y, r);
    report.compare(name + ".y", from_device(y), expected.at("y"));
    report.compare(name + ".dx", from_device(tape.gradient(x)), expected.at("dx"));
    for (const auto& [key, value] : expected.at("dparams").items())
        report.compare(name + ".dparams." + key, o.net.torch_order("op." + key, gradient(o.net, tape, "op." + key)),
                       value);
}

void check_op(darts::Op op, int stride, Device& device, const json& expected, Report& report, const std::string& name) {
    const auto shape = expected.at("train").at("dx").at("shape").get<std::vector<int>>();
    NASCENT_CHECK(shape.size() == 4, data, "{}: dx has {} extents, expected 4", name, shape.size());
    OpRun o{{device, DType::f64, one_op(op, stride, shape[1], shape[2], shape[3])}, op, stride};
    fill_net(o.net);
    check_mode(o, true, device, expected.at("train"), report, name + ".train");
    for (const auto& [key, value] : expected.at("running_after_train").items())
        report.compare(name + "." + key, o.net.get("op." + key), value);
    fill_net(o.net);  // evaluation on the statistics as they were
    check_mode(o, false, device, expected.at("eval"), report, name + ".eval");
}

}  // namespace

std::optional<Check> op_check(const std::string& key) {
    if (key != "ops") return std::nullopt;
    return [](Device& device, const json& entries, Report& report) {
        for (const auto& [name, expected] : entries.items()) {
            std::smatch m;
            NASCENT_CHECK(std::regex_match(name, m, std::regex("(\\w+)/stride([12])")), data,
                          "ops: '{}' is not OP/stride1 or OP/stride2", name);
            check_op(darts::op_from_name(m[1].str()), number(m[2]), device, expected, report, name);
        }
    };
}

}  // namespace nascent::golden
