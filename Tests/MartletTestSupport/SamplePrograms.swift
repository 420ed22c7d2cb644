import MartletLoopIR
import MartletTensors

/// Programs that tests of several parts share.
public enum Sample {
  public static func unary(_ extents: [Int], _ body: @escaping (inout ScalarBuilder, Scalar) -> Scalar) -> StageProgram
  {
    var b = StageBuilder(inputs: [BufferType(.float32, extents)])
    let y = b.map("unary", .float32, extents) { b, i in
      let x = b.load(.input(0), .float32, at: i)
      return body(&b, x)
    }
    return b.finish([y])
  }

  /// in0[m, n] + in1[n] broadcast over rows.
  public static func biasAdd(_ m: Int, _ n: Int) -> StageProgram {
    var b = StageBuilder(inputs: [BufferType(.float32, [m, n]), BufferType(.float32, [n])])
    let y = b.map("BiasAdd", .float32, [m, n]) { b, i in
      b.add(b.load(.input(0), .float32, at: i), b.load(.input(1), .float32, at: [i[1]]))
    }
    return b.finish([y])
  }

  public static func transpose(_ extents: [Int], _ permutation: [Int]) -> StageProgram {
    var b = StageBuilder(inputs: [BufferType(.float32, extents)])
    let y = b.map("Transpose", .float32, permutation.map { extents[$0] }) { b, i in
      var source = i
      for (position, axis) in permutation.enumerated() { source[axis] = i[position] }
      return b.load(.input(0), .float32, at: source)
    }
    return b.finish([y])
  }

  /// The sum of transposed matrices of n × n.
  public static func sumOfTransposed(_ count: Int, _ n: Int) -> StageProgram {
    var b = StageBuilder(inputs: Array(repeating: BufferType(.float32, [n, n]), count: count))
    let y = b.map("SumOfTransposed", .float32, [n, n]) { b, i in
      let first = b.load(.input(0), .float32, at: [i[1], i[0]])
      return (1..<count).reduce(first) { b.add($0, b.load(.input($1), .float32, at: [i[1], i[0]])) }
    }
    return b.finish([y])
  }

  /// Sums of an m × n matrix's columns, each of the matrix by another factor.
  public static func sumsOfColumns(_ count: Int, _ m: Int, _ n: Int) -> StageProgram {
    var b = StageBuilder(inputs: [BufferType(.float64, [m, n])])
    let sums = (0..<count).map { number in
      b.reduce("Sum\(number)", .float64, [n], over: [m], .sum) { b, i, r in
        b.multiply(b.load(.input(0), .float64, at: [r[0], i[0]]), b.constant(Double(number + 1), .float64))
      }
    }
    return b.finish(sums)
  }

  /// Zeros before and after along each axis.
  public static func pad(_ extents: [Int], before: [Int], after: [Int]) -> StageProgram {
    var b = StageBuilder(inputs: [BufferType(.float32, extents)])
    let padded = extents.indices.map { extents[$0] + before[$0] + after[$0] }
    let y = b.map("Pad", .float32, padded) { b, i in
      var inside = b.boolean(true)
      var source: [Scalar] = []
      for axis in extents.indices {
        let index = b.subtract(i[axis], b.integer(before[axis]))
        let isInside = b.and(b.lessEqual(b.integer(0), index), b.less(index, b.integer(extents[axis])))
        inside = b.and(inside, isInside)
        source.append(index)
      }
      return b.load(.input(0), .float32, at: source, if: inside)
    }
    return b.finish([y])
  }

  public static func matrixProduct(_ m: Int, _ k: Int, _ n: Int) -> StageProgram {
    var b = StageBuilder(inputs: [BufferType(.float32, [m, k]), BufferType(.float32, [k, n])])
    let y = b.reduce("MatMul", .float32, [m, n], over: [k], .sum) { b, i, r in
      b.multiply(b.load(.input(0), .float32, at: [i[0], r[0]]), b.load(.input(1), .float32, at: [r[0], i[1]]))
    }
    return b.finish([y])
  }

  /// Sums of in0[m, n] over rows or over columns, divided by the number of terms.
  public static func mean(_ m: Int, _ n: Int, ofColumns: Bool) -> StageProgram {
    var b = StageBuilder(inputs: [BufferType(.float32, [m, n])])
    let y = b.reduce(
      "Mean", .float32, [ofColumns ? n : m], over: [ofColumns ? m : n], .sum,
      { b, i, r in b.load(.input(0), .float32, at: ofColumns ? [r[0], i[0]] : [i[0], r[0]]) },
      finish: { b, total in b.divide(total, b.constant(Double(ofColumns ? m : n), .float32)) })
    return b.finish([y])
  }

  /// Softmax over the last axis in four stages.
  public static func softmax(_ m: Int, _ n: Int) -> StageProgram {
    var b = StageBuilder(inputs: [BufferType(.float32, [m, n])])
    let largest = b.reduce("Max", .float32, [m], over: [n], .maximum) { b, i, r in
      b.load(.input(0), .float32, at: [i[0], r[0]])
    }
    let e = b.map("Exp", .float32, [m, n]) { b, i in
      b.exp(b.subtract(b.load(.input(0), .float32, at: i), b.load(largest, .float32, at: [i[0]])))
    }
    let total = b.reduce("Sum", .float32, [m], over: [n], .sum) { b, i, r in b.load(e, .float32, at: [i[0], r[0]]) }
    let y = b.map("Softmax", .float32, [m, n]) { b, i in
      b.divide(b.load(e, .float32, at: i), b.load(total, .float32, at: [i[0]]))
    }
    return b.finish([y])
  }

  /// Softmax over the last axis whose sum and whose quotient each have an exponential of their own.
  public static func softmaxOfTwoExponentials(_ m: Int, _ n: Int) -> StageProgram {
    var b = StageBuilder(inputs: [BufferType(.float32, [m, n])])
    let largest = b.reduce("Max", .float32, [m], over: [n], .maximum) { b, i, r in
      b.load(.input(0), .float32, at: [i[0], r[0]])
    }
    func exponential(_ b: inout ScalarBuilder, _ i: [Scalar]) -> Scalar {
      b.exp(b.subtract(b.load(.input(0), .float32, at: i), b.load(largest, .float32, at: [i[0]])))
    }
    let total = b.reduce("Sum", .float32, [m], over: [n], .sum) { b, i, r in exponential(&b, [i[0], r[0]]) }
    let y = b.map("Softmax", .float32, [m, n]) { b, i in
      b.divide(exponential(&b, i), b.load(total, .float32, at: [i[0]]))
    }
    return b.finish([y])
  }

  /// The position of the greatest element of each row, the first of equal ones.
  public static func argMax(_ m: Int, _ n: Int) -> StageProgram {
    var b = StageBuilder(inputs: [BufferType(.float32, [m, n])])
    let start = [b.scalars.lowest(.float32), b.scalars.integer(.max)]
    func better(_ b: inout ScalarBuilder, _ x: [Scalar], _ y: [Scalar]) -> [Scalar] {
      let isLater = b.or(b.less(x[0], y[0]), b.and(b.equal(x[0], y[0]), b.less(y[1], x[1])))
      return [b.select(isLater, y[0], x[0]), b.select(isLater, y[1], x[1])]
    }
    let y = b.reduce(
      "ArgMax", .int64, [m], over: [n], initial: start,
      step: { b, state, i, r in
        let value = b.load(.input(0), .float32, at: [i[0], r[0]])
        return better(&b, state, [value, r[0]])
      },
      merge: { b, state, other in better(&b, state, other) },
      finish: { _, state in state[1] })
    return b.finish([y])
  }

  /// Rows of in0[rows, n] at the positions in1[m].
  public static func gather(rows: Int, _ n: Int, at m: Int) -> StageProgram {
    var b = StageBuilder(inputs: [BufferType(.float32, [rows, n]), BufferType(.int64, [m])])
    let y = b.map("Gather", .float32, [m, n]) { b, i in
      let row = b.checkIndex(b.load(.input(1), .int64, at: [i[0]]), extent: rows, code: 7)
      return b.load(.input(0), .float32, at: [row, i[1]])
    }
    return b.finish([y])
  }

  public static func cumulativeSum(_ extents: [Int], along axis: Int, reversed: Bool, exclusive: Bool) -> StageProgram {
    var b = StageBuilder(inputs: [BufferType(.float32, extents)])
    let y = b.scan(
      "Cumsum", .float32, extents, along: axis, reversed: reversed, exclusive: exclusive, initial: 0
    ) { b, state, i in b.add(state, b.load(.input(0), .float32, at: i)) }
    return b.finish([y])
  }

  /// in0[rows, n] with the rows of in2[m, n] added at the positions in1[m]; positions out of bounds are dropped.
  public static func scatterAdd(rows: Int, _ n: Int, updates m: Int) -> StageProgram {
    var b = StageBuilder(
      inputs: [BufferType(.float32, [rows, n]), BufferType(.int64, [m]), BufferType(.float32, [m, n])])
    let y = b.scatter(
      "ScatterAdd", .float32, [rows, n], updates: [m, n],
      initial: { b, i in b.load(.input(0), .float32, at: i) },
      position: { b, u in [b.load(.input(1), .int64, at: [u[0]]), u[1]] },
      combine: { b, state, u in b.add(state, b.load(.input(2), .float32, at: u)) })
    return b.finish([y])
  }

  /// One step of Adam: gradient, variable, m and v in; the new variable, m and v out.
  public static func adam(_ extents: [Int]) -> StageProgram {
    var b = StageBuilder(inputs: Array(repeating: BufferType(.float32, extents), count: 4))
    let m = b.map("m", .float32, extents) { b, i in
      let (g, m) = (b.load(.input(0), .float32, at: i), b.load(.input(2), .float32, at: i))
      return b.add(b.multiply(m, b.constant(0.9, .float32)), b.multiply(g, b.constant(0.1, .float32)))
    }
    let v = b.map("v", .float32, extents) { b, i in
      let (g, v) = (b.load(.input(0), .float32, at: i), b.load(.input(3), .float32, at: i))
      return b.add(
        b.multiply(v, b.constant(0.999, .float32)), b.multiply(b.multiply(g, g), b.constant(0.001, .float32)))
    }
    let variable = b.map("variable", .float32, extents) { b, i in
      let (m, v) = (b.load(m, .float32, at: i), b.load(v, .float32, at: i))
      let step = b.divide(b.multiply(m, b.constant(0.01, .float32)), b.add(b.sqrt(v), b.constant(1e-7, .float32)))
      return b.subtract(b.load(.input(1), .float32, at: i), step)
    }
    return b.finish([variable, m, v])
  }

  /// Layer normalisation of the last axis, without scale and shift.
  public static func layerNorm(_ m: Int, _ n: Int) -> StageProgram {
    var b = StageBuilder(inputs: [BufferType(.float32, [m, n])])
    let count = Double(n)
    let mean = b.reduce(
      "Mean", .float32, [m], over: [n], .sum, { b, i, r in b.load(.input(0), .float32, at: [i[0], r[0]]) },
      finish: { b, total in b.divide(total, b.constant(count, .float32)) })
    let variance = b.reduce(
      "Variance", .float32, [m], over: [n], .sum,
      { b, i, r in
        let d = b.subtract(b.load(.input(0), .float32, at: [i[0], r[0]]), b.load(mean, .float32, at: [i[0]]))
        return b.multiply(d, d)
      }, finish: { b, total in b.divide(total, b.constant(count, .float32)) })
    let scale = b.map("Scale", .float32, [m]) { b, i in
      b.rsqrt(b.add(b.load(variance, .float32, at: i), b.constant(1e-5, .float32)))
    }
    let y = b.map("Normalize", .float32, [m, n]) { b, i in
      let d = b.subtract(b.load(.input(0), .float32, at: i), b.load(mean, .float32, at: [i[0]]))
      return b.multiply(d, b.load(scale, .float32, at: [i[0]]))
    }
    return b.finish([y])
  }

  // MARK: Data

  /// Floats in −2 ..< 2 that are multiples of 1/64, so that short sums are exact.
  public static func floats(_ shape: [Int], seed: UInt64) -> Tensor {
    var g = SeededGenerator(seed: seed)
    return Tensor((0..<shape.reduce(1, *)).map { _ in Float(Int.random(in: -128..<128, using: &g)) / 64 }, shape: shape)
  }

  public static func indices(_ shape: [Int], in range: Range<Int64>, seed: UInt64) -> Tensor {
    var g = SeededGenerator(seed: seed)
    return Tensor((0..<shape.reduce(1, *)).map { _ in Int64.random(in: range, using: &g) }, shape: shape)
  }

  /// Inputs that fit a program: floats, and integers in 0 ..< `indexLimit`.
  public static func inputs(for program: StageProgram, indexLimit: Int64 = 1, seed: UInt64 = 1) -> [Tensor] {
    program.inputs.enumerated().map { number, type in
      let seed = seed &+ UInt64(number)
      return switch type.elementType {
      case .int64: indices(type.extents, in: 0..<indexLimit, seed: seed)
      case .float64, .float16, .bfloat16:
        Tensor(rounding: floats(type.extents, seed: seed).doubles(), shape: type.extents, as: type.elementType)
      default: floats(type.extents, seed: seed)
      }
    }
  }
}
