import CMartletRuntime
import Glibc
import Testing

/// Pooling over N H W C activations, with its naive result and gradient.
struct Pooling: CustomTestStringConvertible {
  var height: Int
  var width: Int
  var channels: Int
  var window: Int
  var stride: Int
  var padding = (0, 0)
  let batch = 2

  var testDescription: String { "\(height)×\(width)×\(channels), \(window), stride \(stride), padding \(padding)" }
  var outHeight: Int { (height + padding.0 + padding.1 - window) / stride + 1 }
  var outWidth: Int { (width + padding.0 + padding.1 - window) / stride + 1 }

  /// For each element of the result: its index and those of the source's elements under the window.
  func forEachWindow(_ body: (_ y: Int, _ under: [Int]) -> Void) {
    for n in 0..<batch {
      for oh in 0..<outHeight {
        for ow in 0..<outWidth {
          for c in 0..<channels {
            var under: [Int] = []
            for h in oh * stride - padding.0..<oh * stride - padding.0 + window where (0..<height).contains(h) {
              for w in ow * stride - padding.0..<ow * stride - padding.0 + window where (0..<width).contains(w) {
                under.append(((n * height + h) * width + w) * channels + c)
              }
            }
            body(((n * outHeight + oh) * outWidth + ow) * channels + c, under)
          }
        }
      }
    }
  }
}

extension RuntimeSuite {
  @Suite(.enabled(if: martlet_dnn_library().pointee.available == 1, "oneDNN is not installed"))
  struct PoolingAndProductTests {
    static let poolings = [
      Pooling(height: 8, width: 8, channels: 32, window: 2, stride: 2),
      Pooling(height: 9, width: 10, channels: 5, window: 3, stride: 2, padding: (1, 1)),
      Pooling(height: 8, width: 8, channels: 16, window: 3, stride: 2, padding: (0, 1)),
    ]

    @Test(
      arguments: poolings,
      [
        martlet_dnn_maximum, martlet_dnn_average_including_padding, martlet_dnn_average_excluding_padding,
      ])
    func resultAndGradient(p: Pooling, algorithm: martlet_dnn_algorithm) throws {
      let x = values(p.batch * p.height * p.width * p.channels, seed: 1)
      let dy = values(p.batch * p.outHeight * p.outWidth * p.channels, seed: 2)
      var (y, dx) = ([Double](repeating: 0, count: dy.count), [Double](repeating: 0, count: x.count))
      p.forEachWindow { yi, under in
        if algorithm == martlet_dnn_maximum {
          let best = under.max { x[$0] < x[$1] || (x[$0] == x[$1] && $0 > $1) }!
          y[yi] = Double(x[best])
          dx[best] += Double(dy[yi])
        } else {
          let all = algorithm == martlet_dnn_average_including_padding ? p.window * p.window : under.count
          for i in under {
            y[yi] += Double(x[i]) / Double(all)
            dx[i] += Double(dy[yi]) / Double(all)
          }
        }
      }

      var d = martlet_dnn_description()
      d.kind = martlet_dnn_pooling
      d.algorithm = algorithm
      d.training = 1
      d.source = Tensor.activations(p.batch, p.height, p.width, p.channels).description
      d.destination = Tensor.activations(p.batch, p.outHeight, p.outWidth, p.channels).description
      d.spatial = 2
      fill(&d.window, [p.window, p.window])
      fill(&d.strides, [p.stride, p.stride])
      fill(&d.dilations, [1, 1])
      fill(&d.padding_before, [p.padding.0, p.padding.0])
      fill(&d.padding_after, [p.padding.1, p.padding.1])
      let forward = try Primitive(d)
      let (yMemory, workspace) = (Memory(bytes: dy.count * 4), Memory(bytes: forward.bytes(martlet_dnn_workspace_role)))
      #expect(
        forward.run([
          martlet_dnn_source_role: Memory(x), martlet_dnn_destination_role: yMemory,
          martlet_dnn_workspace_role: workspace,
        ]))
      #expect(difference(Array(yMemory.floats), y) < 1e-6)

      d.kind = martlet_dnn_pooling_gradient
      let dxMemory = Memory(bytes: x.count * 4)
      #expect(
        try Primitive(d).run([
          martlet_dnn_source_role: dxMemory, martlet_dnn_destination_role: Memory(dy),
          martlet_dnn_workspace_role: workspace,
        ]))
      #expect(difference(Array(dxMemory.floats), dx) < 1e-6)
    }

    static let epilogues: [(kind: martlet_dnn_epilogue_kind, function: @Sendable (Double) -> Double)] = [
      (martlet_dnn_relu, { $0 > 0 ? $0 : 0.25 * $0 }), (martlet_dnn_tanh, { tanh($0) }),
      (martlet_dnn_sigmoid, { 1 / (1 + exp(-$0)) }), (martlet_dnn_elu, { $0 > 0 ? $0 : 0.25 * (exp($0) - 1) }),
      (martlet_dnn_gelu_erf, { 0.5 * $0 * (1 + erf($0 / 2.0.squareRoot())) }),
      (martlet_dnn_gelu_tanh, { 0.5 * $0 * (1 + tanh((2 / Double.pi).squareRoot() * ($0 + 0.044715 * $0 * $0 * $0))) }),
      (martlet_dnn_clip, { min(max($0, 0.25), 0.75) }),
    ]

    @Test(arguments: epilogues.indices) func productsWithBiasAndEpilogues(index: Int) throws {
      let (batch, m, k, n) = (3, 17, 33, 20)
      let epilogue = Self.epilogues[index]
      let (a, b) = (values(batch * m * k, seed: 1), values(batch * k * n, seed: 2))
      let (bias, old) = (values(n, seed: 3), values(batch * m * n, seed: 4))
      let expected = (0..<old.count).map { i in
        let (q, row, column) = (i / (m * n), i / n % m, i % n)
        let sum = (0..<k).reduce(Double(bias[column])) {
          $0 + Double(a[(q * m + row) * k + $1]) * Double(b[(q * k + $1) * n + column])
        }
        return epilogue.function(sum) + 0.5 * Double(old[i])
      }
      var d = martlet_dnn_description()
      d.kind = martlet_dnn_product
      d.source = Tensor([batch, m, k], strides: [m * k, k, 1]).description
      d.weights = Tensor([batch, k, n], strides: [k * n, n, 1]).description
      d.bias = Tensor([1, 1, n], strides: [n, n, 1]).description
      d.destination = Tensor([batch, m, n], strides: [m * n, n, 1]).description
      d.epilogue_count = 2
      d.epilogues.0 = martlet_dnn_epilogue(kind: epilogue.kind, alpha: 0.25, beta: 0.75)
      d.epilogues.1 = martlet_dnn_epilogue(kind: martlet_dnn_add_destination, alpha: 0.5, beta: 0)
      let result = Memory(old)
      #expect(
        try Primitive(d).run([
          martlet_dnn_source_role: Memory(a), martlet_dnn_weights_role: Memory(b), martlet_dnn_bias_role: Memory(bias),
          martlet_dnn_destination_role: result,
        ]))
      #expect(difference(Array(result.floats.prefix(old.count)), expected) < 2e-5)
    }

    @Test func singlePrecisionProduct() {
      var c: [Float] = [1, 1, 1, 1]
      #expect(martlet_dnn_sgemm(0, 1, 2, 2, 3, 1, [1, 2, 3, 4, 5, 6], 3, [1, 0, 1, 0, 1, 1], 3, 10, &c, 2) == 1)
      #expect(c == [14, 15, 20, 21])
    }
  }
}
