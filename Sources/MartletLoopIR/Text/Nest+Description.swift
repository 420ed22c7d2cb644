extension Nest: CustomStringConvertible {
  /// The nest as text: b0 is the first buffer, i0 the loop with axis 0, r0 the first register.
  public var description: String {
    var text = "nest \(name)\n"
    for (number, buffer) in buffers.enumerated() {
      let place =
        switch buffer.place {
        case .slot(let k): k < argumentCount ? "slot \(k)" : "temporary \(k)"
        case .scratch(let offset): "scratch at \(offset)"
        }
      let use = buffer.isStreamed ? ", streamed" : buffer.isWritten ? ", written" : ""
      text += "  b\(number): \(buffer.elementType)[\(buffer.elementCount)] in \(place)\(use)\n"
    }
    for phase in phases {
      text += "  phase i\(phase.axis) < \(phase.extent), grain \(phase.grain)\n"
      var printer = ScalarPrinter(scalars) { "b\($0)" }
      write(phase.body, indent: "    ", &printer, &text)
    }
    return text
  }

  private func write(
    _ statements: [NestStatement], indent: String, _ printer: inout ScalarPrinter, _ text: inout String
  ) {
    func write(_ roots: [ScalarID], deeper: String = "", _ format: ([String]) -> [String]) {
      printer.reset()  // Each statement evaluates its scalars anew.
      let values = printer.print(roots)
      for line in printer.takeLines() + format(values) { text += indent + deeper + line + "\n" }
    }
    for statement in statements {
      switch statement {
      case .loop(let loop):
        let mark =
          switch loop.mark {
          case .serial: "loop"
          case .unrolled: "unrolled"
          case .vector(let lanes): "vector(\(lanes))"
          }
        text += "\(indent)\(mark) i\(loop.axis) < \(loop.extent)\n"
        self.write(loop.body, indent: indent + "  ", &printer, &text)
      case .store(let buffer, let index, let value, let condition):
        write([index, value, condition]) {
          ["b\(buffer)[\($0[0])] = \($0[1])" + ($0[2].isEmpty ? "" : " if \($0[2])")]
        }
      case .assign(let register, let value):
        write([value]) { ["r\(register) = \($0[0])"] }
      case .reduce(let reduction):
        let loops = reduction.loops.map { loop in
          "i\(loop.axis) < \(loop.extent)" + (loop.block.map { " by \($0)" } ?? "")
        }.joined(separator: ", ")
        let registers = reduction.registers.map { "r\($0)" }.joined(separator: ", ")
        text += "\(indent)reduce \(loops) into \(registers), \(reduction.lanes) lanes × \(reduction.interleave)\n"
        let count = reduction.registers.count
        for (name, roots) in [("initial", reduction.initial), ("step", reduction.step), ("merge", reduction.merge)] {
          write(roots, deeper: "  ") { values in (0..<count).map { "\(name)\($0) = \(values[$0])" } }
        }
      }
    }
  }
}
