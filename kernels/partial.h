// What partial channels need beside a mixed cell's passes (PC-DARTS, Xu et al., ICLR 2020, arXiv 1907.05737): the
// channel shuffle, what stride 2 leaves of the channels that go round operators, and weights of operators times weights
// of edges.
#pragma once
#include <cstddef>
#include <cstdint>

#include "kernels/element.h"
#include "kernels/node.h"

namespace nascent::kernels {

/// Shuffles channels in `groups` groups (`groups` divides c): y channel i * groups + g = x channel g * (c / groups) +
/// i, `inverse` the way back. x and y (pixels, c), `x_pixel` and `y_pixel` elements from one pixel to the next; no
/// overlap.
template <class S>
void channel_shuffle(const Stream&, std::size_t pixels, int c, int groups, bool inverse, const S* x, int x_pixel, S* y,
                     int y_pixel, bool accumulate);

/// Any order of channels: channel i of the result is channel at[i].
struct ChannelOrder {
    static constexpr int kMost = 512;
    int c = 0;
    std::uint16_t at[kMost] = {};
};
/// y channel i = x channel order.at[i], `inverse` the way back; else as channel_shuffle.
template <class S>
void channel_permute(const Stream&, std::size_t pixels, const ChannelOrder& order, bool inverse, const S* x,
                     int x_pixel, S* y, int y_pixel, bool accumulate);

/// The maximum of 2 x 2 pixels and its place in them, row by row, as max_pool_plain_forward's: x (n, h, w, c) of even h
/// and w, `x_pixel` elements from one pixel to the next; z and tap (n, h / 2, w / 2, c).
template <class S>
void halve_forward(const Stream&, const Image& x_shape, const S* x, int x_pixel, S* z, std::uint8_t* tap);
/// dx = dz where the taps say, 0 elsewhere.
template <class S>
void halve_backward(const Stream&, const Image& x_shape, const std::uint8_t* tap, const S* dz, S* dx, int dx_pixel);

/// Edges in the order of their nodes: node i has `first` + i.
struct EdgeRows {
    int nodes, first, ops;
    int edges() const { return nodes * first + nodes * (nodes - 1) / 2; }
};
/// `share` (edges) = softmax of betas (edges) over the edges of each node; y (edges, ops + 1): weights (edges, ops)
/// times the edge's share, and in the last column the share itself.
template <class T>
void edge_weights_forward(const Stream&, const EdgeRows&, const T* weights, const T* betas, T* share, T* y);
/// dweights (edges, ops) and dbetas (edges), each may be null.
template <class T>
void edge_weights_backward(const Stream&, const EdgeRows&, const T* weights, const T* share, const T* dy, T* dweights,
                           bool accumulate_dweights, T* dbetas, bool accumulate_dbetas);

}  // namespace nascent::kernels
