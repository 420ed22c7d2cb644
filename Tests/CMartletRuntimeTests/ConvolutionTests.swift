import CMartletRuntime
import Testing

/// A convolution over N H W C activations and H W I O filters, with its naive result and gradients.
struct Convolution: CustomTestStringConvertible {
  var batch = 2
  var height: Int
  var width: Int
  var groups = 1
  /// Channels within one group.
  var inputs: Int
  var outputs: Int
  var window = (3, 3)
  var stride = 1
  var dilation = 1
  /// Before and after, in both spatial dimensions alike.
  var padding = (1, 1)

  var testDescription: String {
    "\(height)×\(width), \(groups) × \(inputs)→\(outputs), \(window.0)×\(window.1), stride \(stride), "
      + "dilation \(dilation), padding \(padding)"
  }

  var outHeight: Int { (height + padding.0 + padding.1 - (window.0 - 1) * dilation - 1) / stride + 1 }
  var outWidth: Int { (width + padding.0 + padding.1 - (window.1 - 1) * dilation - 1) / stride + 1 }
  var sourceCount: Int { batch * height * width * groups * inputs }
  var filterCount: Int { window.0 * window.1 * inputs * groups * outputs }
  var resultCount: Int { batch * outHeight * outWidth * groups * outputs }

  var source: Tensor { .activations(batch, height, width, groups * inputs) }
  var filters: Tensor { .filters(window.0, window.1, inputs, outputs, groups: groups) }
  var bias: Tensor { Tensor([groups * outputs], strides: [1]) }
  var result: Tensor { .activations(batch, outHeight, outWidth, groups * outputs) }

  /// Calls `body` with the indices of result, source and filter of every product that is summed.
  func forEachProduct(_ body: (_ y: Int, _ x: Int, _ w: Int) -> Void) {
    let (channels, all) = (groups * inputs, groups * outputs)
    for n in 0..<batch {
      for oh in 0..<outHeight {
        for ow in 0..<outWidth {
          for kh in 0..<window.0 {
            for kw in 0..<window.1 {
              let (h, w) = (oh * stride + kh * dilation - padding.0, ow * stride + kw * dilation - padding.0)
              guard (0..<height).contains(h), (0..<width).contains(w) else { continue }
              for o in 0..<all {
                for i in 0..<inputs {
                  body(
                    ((n * outHeight + oh) * outWidth + ow) * all + o,
                    ((n * height + h) * width + w) * channels + o / outputs * inputs + i,
                    ((kh * window.1 + kw) * inputs + i) * all + o)
                }
              }
            }
          }
        }
      }
    }
  }

  func description(_ kind: martlet_dnn_kind, weightsAny: Bool, activationsAny: Bool) -> martlet_dnn_description {
    var d = martlet_dnn_description()
    d.kind = kind
    d.algorithm = martlet_dnn_direct
    d.source = (activationsAny ? source.any : source).description
    d.weights = (weightsAny ? filters.any : filters).description
    if kind != martlet_dnn_convolution_source_gradient { d.bias = bias.description }
    d.destination = (activationsAny ? result.any : result).description
    d.spatial = 2
    fill(&d.strides, [stride, stride])
    fill(&d.dilations, [dilation, dilation])
    fill(&d.padding_before, [padding.0, padding.0])
    fill(&d.padding_after, [padding.1, padding.1])
    return d
  }
}

extension RuntimeSuite {
  /// With MARTLET_DNNL naming a library of the other major version, the same tests show that both are spoken.
  @Suite(.enabled(if: martlet_dnn_library().pointee.available == 1, "oneDNN is not installed"))
  struct ConvolutionTests {
    static let cases = [
      Convolution(height: 9, width: 8, inputs: 3, outputs: 5),
      Convolution(height: 9, width: 8, inputs: 1, outputs: 32, window: (5, 5), padding: (2, 2)),
      Convolution(height: 7, width: 7, inputs: 16, outputs: 16, window: (1, 1), padding: (0, 0)),
      Convolution(height: 11, width: 10, groups: 2, inputs: 16, outputs: 16, stride: 2, padding: (0, 1)),
      Convolution(batch: 1, height: 12, width: 12, inputs: 16, outputs: 32, dilation: 2, padding: (2, 2)),
      Convolution(height: 10, width: 10, groups: 32, inputs: 1, outputs: 1),
      Convolution(height: 10, width: 9, groups: 8, inputs: 1, outputs: 2, window: (3, 2), stride: 2, padding: (0, 1)),
    ]

    @Test(arguments: cases, [(false, false), (true, false), (true, true)])
    func resultAndGradients(c: Convolution, any: (weights: Bool, activations: Bool)) throws {
      let (x, w) = (values(c.sourceCount, seed: 1), values(c.filterCount, seed: 2))
      let (b, dy) = (values(c.groups * c.outputs, seed: 3), values(c.resultCount, seed: 4))
      var y = (0..<c.resultCount).map { Double(b[$0 % b.count]) }
      var dx = [Double](repeating: 0, count: x.count)
      var dw = [Double](repeating: 0, count: w.count)
      c.forEachProduct { yi, xi, wi in
        y[yi] += Double(x[xi]) * Double(w[wi])
        dx[xi] += Double(dy[yi]) * Double(w[wi])
        dw[wi] += Double(dy[yi]) * Double(x[xi])
      }
      var db = [Double](repeating: 0, count: b.count)
      for (i, value) in dy.enumerated() { db[i % b.count] += Double(value) }

      func primitive(_ kind: martlet_dnn_kind) throws -> Primitive {
        try Primitive(c.description(kind, weightsAny: any.weights, activationsAny: any.activations))
      }
      let (source, weights, bias, result) = (
        martlet_dnn_source_role, martlet_dnn_weights_role, martlet_dnn_bias_role, martlet_dnn_destination_role
      )

      let forward = try primitive(martlet_dnn_convolution)
      let yMemory = Memory(bytes: forward.bytes(result))
      #expect(
        forward.run([
          source: try forward.input(x, c.source, at: source), weights: try forward.input(w, c.filters, at: weights),
          bias: Memory(b), result: yMemory,
        ]))
      #expect(difference(try forward.output(yMemory, c.result, at: result, count: y.count), y) < 1e-5)

      let backward = try primitive(martlet_dnn_convolution_source_gradient)
      let dxMemory = Memory(bytes: backward.bytes(source))
      #expect(
        backward.run([
          source: dxMemory, weights: try backward.input(w, c.filters, at: weights),
          result: try backward.input(dy, c.result, at: result),
        ]))
      #expect(difference(try backward.output(dxMemory, c.source, at: source, count: dx.count), dx) < 1e-5)

      let update = try primitive(martlet_dnn_convolution_weights_gradient)
      let (dwMemory, dbMemory) = (Memory(bytes: update.bytes(weights)), Memory(bytes: update.bytes(bias)))
      #expect(
        update.run([
          source: try update.input(x, c.source, at: source), weights: dwMemory, bias: dbMemory,
          result: try update.input(dy, c.result, at: result),
        ]))
      #expect(difference(try update.output(dwMemory, c.filters, at: weights, count: dw.count), dw) < 1e-5)
      #expect(difference(Array(dbMemory.floats.prefix(db.count)), db) < 1e-5)
    }

    @Test func winogradOrAReadableRefusal() throws {
      let c = Convolution(height: 16, width: 16, inputs: 32, outputs: 32)
      var description = c.description(martlet_dnn_convolution, weightsAny: true, activationsAny: true)
      description.algorithm = martlet_dnn_winograd
      do {
        let primitive = try Primitive(description)
        let (x, w) = (values(c.sourceCount, seed: 1), values(c.filterCount, seed: 2))
        var y = [Double](repeating: 0, count: c.resultCount)
        c.forEachProduct { y[$0] += Double(x[$1]) * Double(w[$2]) }
        let memory = Memory(bytes: primitive.bytes(martlet_dnn_destination_role))
        #expect(
          primitive.run([
            martlet_dnn_source_role: try primitive.input(x, c.source, at: martlet_dnn_source_role),
            martlet_dnn_weights_role: try primitive.input(w, c.filters, at: martlet_dnn_weights_role),
            martlet_dnn_bias_role: Memory([Float](repeating: 0, count: 32)), martlet_dnn_destination_role: memory,
          ]))
        let actual = try primitive.output(memory, c.result, at: martlet_dnn_destination_role, count: y.count)
        #expect(difference(actual, y) < 1e-4)
      } catch let refusal as NotMade {
        #expect(refusal.message.hasSuffix("makes no convolution: not implemented (status 3)"))
      }
    }

    @Test func whatDoesNotFitIsRefused() {
      var description = Convolution(height: 5, width: 5, inputs: 2, outputs: 2)
        .description(martlet_dnn_convolution, weightsAny: false, activationsAny: false)
      description.destination.dims.2 += 1
      #expect(throws: NotMade.self) { try Primitive(description) }
    }
  }
}
