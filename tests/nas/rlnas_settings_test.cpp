// Learning rates and weight decay of RLNAS's and AngleNAS's ImageNet training.
#include <doctest/doctest.h>

#include "nas/algo/schedules.h"
#include "nas/algo/weight_decay.h"
#include "nas/space/darts_net.h"
#include "nas/supernet/darts.h"

using namespace nascent;

TEST_CASE("rates that fall by steps are those of RLNAS's ImageNet programs") {
    // DARTS: batches of 512, 2502 an epoch, 50 epochs; MobileNet: 120 epochs.
    CHECK(linear_step_lr(0.1, 5e-4, 125100, 0) == 0.1);
    CHECK(linear_step_lr(0.1, 5e-4, 125100, 62550) == doctest::Approx(0.05025).epsilon(1e-12));
    CHECK(linear_step_lr(0.1, 5e-4, 125100, 125100) == doctest::Approx(5e-4).epsilon(1e-12));
    CHECK(linear_step_lr(0.1, 5e-4, 125100, 125150) == 5e-4);
    CHECK(linear_step_lr(0.25, 5e-4, 300240, 1) == doctest::Approx(0.24999917).epsilon(1e-8));
    CHECK(linear_step_lr(0.25, 5e-4, 300240, 150120) == doctest::Approx(0.12525).epsilon(1e-12));
    // As they write it: lr (1 - s / 300841.68).
    CHECK(linear_step_lr(0.25, 5e-4, 300240, 1000) == doctest::Approx(0.25 * (1 - 1000 / 300841.68)).epsilon(1e-9));
}

TEST_CASE("rates of ImageNet training: linear with a slow end, warmed up for large batches") {
    // As PC-DARTS's program writes it: (epochs - 5 - epoch) / (epochs - 5), then (epochs - epoch) / (5 (epochs - 5)).
    CHECK(linear_lr(0.5, 250, 0) == 0.5);
    CHECK(linear_lr(0.5, 250, 100) == doctest::Approx(0.5 * 145 / 245).epsilon(1e-14));
    CHECK(linear_lr(0.5, 250, 244) == doctest::Approx(0.5 / 245).epsilon(1e-14));
    CHECK(linear_lr(0.5, 250, 245) == doctest::Approx(0.5 / 245).epsilon(1e-14));
    CHECK(linear_lr(0.5, 250, 249) == doctest::Approx(0.1 / 245).epsilon(1e-14));
    for (WarmUp how : {WarmUp::replace, WarmUp::multiply}) {
        for (int epoch : {0, 4, 5, 9}) CHECK(warm_linear_lr(0.5, 250, epoch, 256, how) == linear_lr(0.5, 250, epoch));
        CHECK(warm_linear_lr(0.5, 250, 5, 1024, how) == linear_lr(0.5, 250, 5));
    }
    for (int epoch : {0, 1, 4}) {
        CHECK(warm_linear_lr(0.5, 250, epoch, 257, WarmUp::replace) ==
              doctest::Approx(0.1 * (epoch + 1)).epsilon(1e-14));
        CHECK(warm_linear_lr(0.5, 250, epoch, 257, WarmUp::multiply) ==
              doctest::Approx(0.1 * (epoch + 1) * (245 - epoch) / 245).epsilon(1e-14));
    }
}

TEST_CASE("weight decay spares what the published name filters spare") {
    const auto device = make_device("cpu", 1);
    const DartsNet net(*device, DType::f32,
                       darts::search_net({.input_size = 32, .channels = 4, .layers = 3}, {.affine = true}));
    const auto convolutions = weight_decay_rule("convolutions"),
               and_classifier = weight_decay_rule("convolutions-classifier");
    CHECK(!weight_decay_rule("all"));
    int convs = 0, depthwise = 0, classifier = 0, spared = 0;
    for (const Parameter& p : net.store().parameters()) {
        CAPTURE(p.name);
        const bool in_pytorch_4d = p.shape.rank() >= 3, head = p.name.starts_with("classifier.");
        CHECK(convolutions(p) == in_pytorch_4d);
        CHECK(and_classifier(p) == (in_pytorch_4d || head));
        convs += in_pytorch_4d;
        depthwise += p.shape.rank() == 3;
        classifier += head;
        spared += !in_pytorch_4d && !head;
    }
    CHECK(convs > depthwise);
    CHECK(depthwise > 0);
    CHECK(classifier == 2);
    CHECK(spared > 0);
    CHECK_THROWS_WITH_AS(weight_decay_rule("convolution"), doctest::Contains("convolutions"), Error);
}
