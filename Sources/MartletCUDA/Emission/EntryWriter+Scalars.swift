import MartletGraph
import MartletLoopIR
import MartletTensors

extension EntryWriter {
  /// The text of each root, after statements for the rows that it needs and that are not known yet.
  func texts(_ roots: [ScalarID]) -> [Value] {
    for id in scalars.arena.reachable(from: roots) where known(id) == nil { define(id) }
    return roots.map { known($0)! }
  }

  func text(_ root: Scalar) -> String { texts([root.id])[0].texts[0] }

  private func isNarrow(_ id: ScalarID) -> Bool {
    guard scalars.arena.type(of: id) == .int64 else { return false }
    let range = scalars.range(of: id)
    return range.lower >= Int64(Int32.min) && range.upper <= Int64(Int32.max)
  }

  private func define(_ id: ScalarID) {
    let row = scalars.arena[id]
    switch row.operation {
    case .constant:
      let isNarrow = isNarrow(id)
      let text = isNarrow ? ElementType.int32.cudaLiteral(row.payload) : row.type.cudaLiteral(row.payload)
      remember(id, Value(texts: [text], isNarrow: isNarrow))
    case .axis: remember(id, axisValue(Int(row.payload)))
    case .register: remember(id, Value(texts: [registers[Int(row.payload)].name], isNarrow: false))
    default:
      if row.operation == .load, let value = vectorLoad(row) {
        remember(id, value)
        return
      }
      let operands = row.operands.map { known($0)! }
      let condition = row.condition == .none ? nil : known(row.condition)!
      let count = (operands + [condition].compactMap { $0 }).map(\.texts.count).max() ?? 1
      let isNarrow = row.operation != .parameter && isNarrow(id)
      let type = isNarrow ? "int" : row.type.kernelType
      let variable = name("v")
      let texts = (0..<count).map { lane in
        let expression = expression(row, operands, condition, lane, isNarrow: isNarrow)
        let text = count == 1 ? variable : "\(variable)_\(lane)"
        line("const \(type) \(text) = \(expression);")
        return text
      }
      remember(id, Value(texts: texts, isNarrow: isNarrow))
    }
  }

  // MARK: Expressions

  private func expression(
    _ row: ScalarRow, _ operands: [Value], _ condition: Value?, _ lane: Int, isNarrow: Bool
  ) -> String {
    func wide(_ i: Int) -> String {
      operands[i].isNarrow && type(i) == .int64 ? "(m_long)\(operands[i].text(lane))" : operands[i].text(lane)
    }
    func type(_ i: Int) -> ElementType { scalars.arena.type(of: row.operand(i)) }
    let plain = operands.map { $0.text(lane) }
    let narrowing = isNarrow ? "(int)" : ""
    switch row.operation {
    case .parameter: return "params[\(row.payload)]"
    case .load:
      let element = "\(buffers[Int(row.payload)].name)[\(plain[0])]"
      guard let condition else { return element }
      return "\(condition.text(lane)) ? \(element) : \(row.type.cudaLiteral(0))"
    case .checkIndex:
      return "\(narrowing)m_checkIndex(\(wide(0)), \(wide(1)), \(row.payload), status)"
    case .cast: return "\(narrowing)m_cast<\(row.type.kernelType)>(\(wide(0)))"
    case .bitcast: return "\(narrowing)m_bitcast<\(row.type.kernelType)>(\(wide(0)))"
    case .select:
      let chosen = isNarrow ? "int" : row.type.kernelType
      return "m_select<\(chosen)>(\(plain[0]), \(plain[1]), \(plain[2]))"
    default: break
    }
    if row.operandCount == 2, type(0) == .int64 {
      let bothNarrow = operands.allSatisfy(\.isNarrow)
      if let index = index(row, bothNarrow ? plain : [wide(0), wide(1)], bothNarrow, isNarrow: isNarrow) {
        return index
      }
      if row.type == .bool, bothNarrow { return "m_\(row.operation)(\(plain[0]), \(plain[1]))" }
    }
    let all = plain.indices.map { wide($0) }.joined(separator: ", ")
    return "\(narrowing)m_\(row.operation)(\(all))"
  }

  /// Arithmetic on integers that cannot overflow, or whose quotient needs no care, as the plain operators.
  private func index(_ row: ScalarRow, _ operands: [String], _ bothNarrow: Bool, isNarrow: Bool) -> String? {
    let (x, y) = (scalars.range(of: row.operand(0)), scalars.range(of: row.operand(1)))
    let sign: String
    switch row.operation {
    case .add: sign = "+"
    case .subtract: sign = "-"
    case .multiply: sign = "*"
    case .floorDivide, .divide, .floorModulo:
      guard x.lower >= 0, y.lower > 0 else { return nil }
      let divided = row.operation == .floorModulo ? "%" : "/"
      return bothNarrow
        ? "(int)((unsigned)\(operands[0]) \(divided) (unsigned)\(operands[1]))"
        : "\(isNarrow ? "(int)" : "")(\(operands[0]) \(divided) \(operands[1]))"
    default: return nil
    }
    guard isNarrow else { return nil }
    return bothNarrow ? "\(operands[0]) \(sign) \(operands[1])" : "(int)(\(operands[0]) \(sign) \(operands[1]))"
  }

  // MARK: Vectors

  /// A load whose lanes lie side by side, at a multiple of their number, as one access.
  private func vectorLoad(_ row: ScalarRow) -> Value? {
    let buffer = buffers[Int(row.payload)]
    let offsets = known(row.operand(0))!
    let lanes = offsets.texts.count
    let condition = row.condition == .none ? nil : known(row.condition)!
    guard lanes > 1, buffer.isGlobal, condition?.texts.count ?? 1 == 1, isContiguous(row.operand(0), lanes) else {
      return nil
    }
    let variable = name("v")
    let type = "m_vector<\(lanes), \(row.type.kernelType)>"
    let flag = alignment(Int(row.payload), lanes: lanes)
    let load = "m_load<\(lanes)>(\(buffer.name) + \(offsets.texts[0]), \(flag))"
    if let condition {
      line("\(type) \(variable) = {};")
      line("if (\(condition.texts[0])) \(variable) = \(load);")
    } else {
      line("const \(type) \(variable) = \(load);")
    }
    return Value(texts: (0..<lanes).map { "\(variable).at[\($0)]" }, isNarrow: false)
  }

  /// Whether an offset is a multiple of the number of lanes plus the lane.
  func isContiguous(_ offset: ScalarID, _ lanes: Int) -> Bool {
    let form = AffineForm(offset, in: scalars.arena)
    guard form.constant % Int64(lanes) == 0 else { return false }
    var laneTerms = 0
    for term in form.terms {
      guard let value = known(term.atom) else { return false }
      if value.texts.count == 1 {
        guard term.coefficient % Int64(lanes) == 0 else { return false }
      } else {
        guard scalars.arena[term.atom].operation == .axis, term.coefficient == 1 else { return false }
        laneTerms += 1
      }
    }
    return laneTerms == 1
  }
}
