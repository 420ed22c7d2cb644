import MartletGraph

// Arithmetic between outputs, and between an output and a number, which becomes a constant of the output's type.
// Shapes broadcast as in NumPy.

extension Output {
  public static func + (a: Output, b: Output) -> Output { a.graph.addOne(AddV2(), [a, b]) }
  public static func - (a: Output, b: Output) -> Output { a.graph.addOne(Sub(), [a, b]) }
  public static func * (a: Output, b: Output) -> Output { a.graph.addOne(Mul(), [a, b]) }
  /// The quotient of floating-point values; for integers see ``floorDivide(_:_:name:)``.
  public static func / (a: Output, b: Output) -> Output { a.graph.addOne(RealDiv(), [a, b]) }
  public static prefix func - (a: Output) -> Output { a.graph.addOne(Neg(), [a]) }

  public static func + (a: Output, b: Double) -> Output { a + a.scalar(b) }
  public static func - (a: Output, b: Double) -> Output { a - a.scalar(b) }
  public static func * (a: Output, b: Double) -> Output { a * a.scalar(b) }
  public static func / (a: Output, b: Double) -> Output { a / a.scalar(b) }
  public static func + (a: Double, b: Output) -> Output { b.scalar(a) + b }
  public static func - (a: Double, b: Output) -> Output { b.scalar(a) - b }
  public static func * (a: Double, b: Output) -> Output { b.scalar(a) * b }
  public static func / (a: Double, b: Output) -> Output { b.scalar(a) / b }

  public static func += (a: inout Output, b: Output) { a = a + b }
  public static func -= (a: inout Output, b: Output) { a = a - b }
  public static func *= (a: inout Output, b: Output) { a = a * b }
  public static func /= (a: inout Output, b: Output) { a = a / b }
}

// Comparisons element by element. They are spelled as for SIMD vectors, since `==` compares the handles.

extension Output {
  public static func .== (a: Output, b: Output) -> Output { a.graph.addOne(Equal(), [a, b]) }
  public static func .!= (a: Output, b: Output) -> Output { a.graph.addOne(NotEqual(), [a, b]) }
  public static func .< (a: Output, b: Output) -> Output { a.graph.addOne(Less(), [a, b]) }
  public static func .<= (a: Output, b: Output) -> Output { a.graph.addOne(LessEqual(), [a, b]) }
  public static func .> (a: Output, b: Output) -> Output { a.graph.addOne(Greater(), [a, b]) }
  public static func .>= (a: Output, b: Output) -> Output { a.graph.addOne(GreaterEqual(), [a, b]) }

  public static func .== (a: Output, b: Double) -> Output { a .== a.scalar(b) }
  public static func .!= (a: Output, b: Double) -> Output { a .!= a.scalar(b) }
  public static func .< (a: Output, b: Double) -> Output { a .< a.scalar(b) }
  public static func .<= (a: Output, b: Double) -> Output { a .<= a.scalar(b) }
  public static func .> (a: Output, b: Double) -> Output { a .> a.scalar(b) }
  public static func .>= (a: Output, b: Double) -> Output { a .>= a.scalar(b) }

  /// The logical and of Booleans.
  public static func .& (a: Output, b: Output) -> Output { a.graph.addOne(LogicalAnd(), [a, b]) }
  /// The logical or of Booleans.
  public static func .| (a: Output, b: Output) -> Output { a.graph.addOne(LogicalOr(), [a, b]) }
  /// The logical negation of Booleans.
  public static prefix func ! (a: Output) -> Output { a.graph.addOne(LogicalNot(), [a]) }
}
