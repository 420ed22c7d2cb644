// Layers of recurrent networks by plain loops, for the stand-in for cuDNN.
#pragma once
#include <cmath>
#include <cstddef>
#include <vector>

namespace stub {

// cuDNN's numbers of cells.
enum { rnn_relu = 0, rnn_tanh = 1, rnn_lstm = 2, rnn_gru = 3 };

struct RecurrentShape {
  int cell = rnn_lstm, steps = 0, batch = 0, inputs = 0, hidden = 0, directions = 1;
  // A way of computing that rounds too much.
  bool is_coarse = false;

  int gates() const { return cell == rnn_lstm ? 4 : cell == rnn_gru ? 3 : 1; }
  // The weight space: for each direction a gap, the matrices of inputs and state, then their biases.
  static constexpr size_t gap = 64;
  size_t per_direction() const { return gap + size_t(gates()) * hidden * (size_t(inputs) + hidden + 2); }
  size_t weights() const { return directions * per_direction(); }
  size_t matrix(int direction, int layer) const {
    const size_t own = size_t(hidden) * inputs, state = size_t(hidden) * hidden;
    const size_t before = layer < gates() ? layer * own : gates() * own + (layer - gates()) * state;
    return direction * per_direction() + gap + before;
  }
  size_t bias(int direction, int layer) const {
    return matrix(direction, 2 * gates()) + size_t(layer) * hidden;
  }
  int columns(int layer) const { return layer < gates() ? inputs : hidden; }

  // The reserve space: a mark, then for each cell of each step what its gradient needs, and the gates' gradients.
  static constexpr size_t head = 8, kept = 6, gradients = 8;
  size_t cells() const { return size_t(directions) * steps * batch * hidden; }
  size_t reserve() const { return head + cells() * (kept + gradients); }
  size_t cell_at(int d, int t, int b, int h) const { return ((size_t(d) * steps + t) * batch + b) * hidden + h; }
  size_t y_at(int d, int t, int b, int h) const {
    return (size_t(t) * batch + b) * directions * hidden + size_t(d) * hidden + h;
  }
  size_t state_at(int d, int b, int h) const { return (size_t(d) * batch + b) * hidden + h; }
  size_t x_at(int t, int b, int i) const { return (size_t(t) * batch + b) * inputs + i; }
  int time(int d, int step) const { return d == 0 ? step : steps - 1 - step; }

  double squash(double x) const {
    const double y = std::tanh(x);
    return is_coarse ? std::round(y * 256) / 256 : y;
  }
  double gate(double x) const { return 1 / (1 + std::exp(-x)); }
};

struct RecurrentArrays {
  const float *x = nullptr, *hx = nullptr, *cx = nullptr, *weights = nullptr, *dy = nullptr, *dhy = nullptr, *dcy = nullptr;
  // What forward writes, backward reads.
  float *y = nullptr, *hy = nullptr, *cy = nullptr, *reserve = nullptr;
  float *dx = nullptr, *dhx = nullptr, *dcx = nullptr, *dweights = nullptr;
};

inline float given(const float *values, size_t at) { return values ? values[at] : 0; }

// The state before a step: of the step before, or the initial one.
inline double state_before(const RecurrentShape &s, const RecurrentArrays &a, int d, int step, int b, int h) {
  return step == 0 ? given(a.hx, s.state_at(d, b, h)) : a.y[s.y_at(d, s.time(d, step - 1), b, h)];
}

inline void recurrent_forward(const RecurrentShape &s, const RecurrentArrays &a) {
  const int gates = s.gates();
  for (int d = 0; d < s.directions; d++) {
    for (int b = 0; b < s.batch; b++) {
      std::vector<double> cell(s.hidden);
      for (int h = 0; h < s.hidden; h++) cell[h] = given(a.cx, s.state_at(d, b, h));
      for (int step = 0; step < s.steps; step++) {
        const int t = s.time(d, step);
        std::vector<double> next(s.hidden);
        for (int h = 0; h < s.hidden; h++) {
          double own[4], back[4];
          for (int g = 0; g < gates; g++) {
            own[g] = a.weights[s.bias(d, g) + h];
            back[g] = a.weights[s.bias(d, gates + g) + h];
            for (int i = 0; i < s.inputs; i++) {
              own[g] += a.weights[s.matrix(d, g) + size_t(h) * s.inputs + i] * double(a.x[s.x_at(t, b, i)]);
            }
            for (int k = 0; k < s.hidden; k++) {
              back[g] += a.weights[s.matrix(d, gates + g) + size_t(h) * s.hidden + k] * state_before(s, a, d, step, b, k);
            }
          }
          double kept[RecurrentShape::kept] = {};
          switch (s.cell) {
            case rnn_lstm:
              for (int g = 0; g < 4; g++) kept[g] = g == 2 ? s.squash(own[g] + back[g]) : s.gate(own[g] + back[g]);
              cell[h] = kept[1] * cell[h] + kept[0] * kept[2];
              kept[4] = cell[h];
              next[h] = kept[3] * s.squash(cell[h]);
              break;
            case rnn_gru:
              kept[0] = s.gate(own[0] + back[0]);
              kept[1] = s.gate(own[1] + back[1]);
              kept[2] = s.squash(own[2] + kept[0] * back[2]);
              kept[5] = back[2];
              next[h] = (1 - kept[1]) * kept[2] + kept[1] * state_before(s, a, d, step, b, h);
              break;
            default: next[h] = s.cell == rnn_tanh ? s.squash(own[0] + back[0]) : std::fmax(own[0] + back[0], 0);
          }
          if (a.reserve) {
            float *to = a.reserve + RecurrentShape::head + s.cell_at(d, t, b, h) * RecurrentShape::kept;
            for (size_t i = 0; i < RecurrentShape::kept; i++) to[i] = float(kept[i]);
          }
        }
        for (int h = 0; h < s.hidden; h++) a.y[s.y_at(d, t, b, h)] = float(next[h]);
      }
      for (int h = 0; h < s.hidden; h++) {
        if (a.hy) a.hy[s.state_at(d, b, h)] = float(state_before(s, a, d, s.steps, b, h));
        if (a.cy && s.cell == rnn_lstm) a.cy[s.state_at(d, b, h)] = float(cell[h]);
      }
    }
  }
}

// The gradients of the gates before their activations: towards the products of inputs, and of the state.
inline float *gate_gradients(const RecurrentShape &s, float *reserve, int d, int t, int b, int h) {
  return reserve + RecurrentShape::head + s.cells() * RecurrentShape::kept +
    s.cell_at(d, t, b, h) * RecurrentShape::gradients;
}

inline void recurrent_backward_data(const RecurrentShape &s, const RecurrentArrays &a) {
  const int gates = s.gates();
  std::vector<double> dx(size_t(s.steps) * s.batch * s.inputs);
  for (int d = 0; d < s.directions; d++) {
    for (int b = 0; b < s.batch; b++) {
      std::vector<double> dh(s.hidden), dc(s.hidden);
      for (int h = 0; h < s.hidden; h++) {
        dh[h] = given(a.dhy, s.state_at(d, b, h));
        dc[h] = given(a.dcy, s.state_at(d, b, h));
      }
      for (int step = s.steps - 1; step >= 0; step--) {
        const int t = s.time(d, step);
        std::vector<double> before(s.hidden);
        for (int h = 0; h < s.hidden; h++) {
          const float *kept = a.reserve + RecurrentShape::head + s.cell_at(d, t, b, h) * RecurrentShape::kept;
          float *to = gate_gradients(s, a.reserve, d, t, b, h);
          const double up = dh[h] + a.dy[s.y_at(d, t, b, h)];
          double own[4] = {}, back[4] = {};
          switch (s.cell) {
            case rnn_lstm: {
              const double i = kept[0], f = kept[1], n = kept[2], o = kept[3], squashed = std::tanh(double(kept[4]));
              const double c = step == 0
                ? given(a.cx, s.state_at(d, b, h))
                : a.reserve[RecurrentShape::head + s.cell_at(d, s.time(d, step - 1), b, h) * RecurrentShape::kept + 4];
              const double towards = dc[h] + up * o * (1 - squashed * squashed);
              own[0] = towards * n * i * (1 - i);
              own[1] = towards * c * f * (1 - f);
              own[2] = towards * i * (1 - n * n);
              own[3] = up * squashed * o * (1 - o);
              dc[h] = towards * f;
              for (int g = 0; g < 4; g++) back[g] = own[g];
              break;
            }
            case rnn_gru: {
              const double r = kept[0], z = kept[1], n = kept[2];
              own[2] = up * (1 - z) * (1 - n * n);
              own[1] = up * (state_before(s, a, d, step, b, h) - n) * z * (1 - z);
              own[0] = own[2] * kept[5] * r * (1 - r);
              back[0] = own[0], back[1] = own[1], back[2] = own[2] * r;
              before[h] = up * z;
              break;
            }
            default: {
              const double y = a.y[s.y_at(d, t, b, h)];
              own[0] = back[0] = s.cell == rnn_tanh ? up * (1 - y * y) : y > 0 ? up : 0;
            }
          }
          for (int g = 0; g < gates; g++) to[g] = float(own[g]), to[4 + g] = float(back[g]);
        }
        for (int h = 0; h < s.hidden; h++) {
          const float *from = gate_gradients(s, a.reserve, d, t, b, h);
          for (int g = 0; g < gates; g++) {
            for (int i = 0; i < s.inputs; i++) {
              dx[s.x_at(t, b, i)] += from[g] * double(a.weights[s.matrix(d, g) + size_t(h) * s.inputs + i]);
            }
            for (int k = 0; k < s.hidden; k++) {
              before[k] += from[4 + g] * double(a.weights[s.matrix(d, gates + g) + size_t(h) * s.hidden + k]);
            }
          }
        }
        dh = before;
      }
      for (int h = 0; h < s.hidden; h++) {
        if (a.dhx) a.dhx[s.state_at(d, b, h)] = float(dh[h]);
        if (a.dcx && s.cell == rnn_lstm) a.dcx[s.state_at(d, b, h)] = float(dc[h]);
      }
    }
  }
  for (size_t i = 0; i < dx.size(); i++) a.dx[i] = float(dx[i]);
}

// Adds to what there is.
inline void recurrent_backward_weights(const RecurrentShape &s, const RecurrentArrays &a) {
  const int gates = s.gates();
  std::vector<double> sums(s.weights());
  for (int d = 0; d < s.directions; d++) {
    for (int step = 0; step < s.steps; step++) {
      const int t = s.time(d, step);
      for (int b = 0; b < s.batch; b++) {
        for (int h = 0; h < s.hidden; h++) {
          const float *from = gate_gradients(s, a.reserve, d, t, b, h);
          for (int g = 0; g < gates; g++) {
            sums[s.bias(d, g) + h] += from[g];
            sums[s.bias(d, gates + g) + h] += from[4 + g];
            for (int i = 0; i < s.inputs; i++) {
              sums[s.matrix(d, g) + size_t(h) * s.inputs + i] += from[g] * double(a.x[s.x_at(t, b, i)]);
            }
            for (int k = 0; k < s.hidden; k++) {
              sums[s.matrix(d, gates + g) + size_t(h) * s.hidden + k] += from[4 + g] * state_before(s, a, d, step, b, k);
            }
          }
        }
      }
    }
  }
  for (size_t i = 0; i < sums.size(); i++) a.dweights[i] = float(a.dweights[i] + sums[i]);
}

}  // namespace stub
