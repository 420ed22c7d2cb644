import MartletTensors

/// An int64 scalar as a constant plus multiples of other scalars, its atoms, which are not sums or multiples themselves.
package struct AffineForm: Hashable, Sendable {
  package struct Term: Hashable, Sendable {
    package var atom: ScalarID
    package var coefficient: Int64
  }
  package var constant: Int64 = 0
  /// In the order of the atoms, without zero coefficients.
  package private(set) var terms: [Term] = []

  package init(constant: Int64 = 0) { self.constant = constant }

  /// The form of a row. What has more than `limit` terms is returned as an atom of its own.
  package init(_ id: ScalarID, in arena: ScalarArena, limit: Int = 16) {
    var pending: [Term] = [Term(atom: id, coefficient: 1)]
    while let next = pending.popLast() {
      let row = arena[next.atom]
      let factor = next.coefficient
      if row.type == .int64 {
        switch row.operation {
        case .constant:
          constant = constant &+ factor &* row.payload
          continue
        case .add, .subtract:
          pending.append(Term(atom: row.operand(0), coefficient: factor))
          pending.append(Term(atom: row.operand(1), coefficient: row.operation == .add ? factor : 0 &- factor))
          if pending.count > limit { break }
          continue
        case .negate:
          pending.append(Term(atom: row.operand(0), coefficient: 0 &- factor))
          continue
        case .multiply:
          if arena[row.operand(1)].operation == .constant {
            pending.append(Term(atom: row.operand(0), coefficient: factor &* arena[row.operand(1)].payload))
            continue
          } else if arena[row.operand(0)].operation == .constant {
            pending.append(Term(atom: row.operand(1), coefficient: factor &* arena[row.operand(0)].payload))
            continue
          }
        default: break
        }
      }
      if pending.count > limit || terms.count > limit {
        constant = 0
        terms = [Term(atom: id, coefficient: 1)]
        return
      }
      add(next.atom, times: factor)
    }
  }

  mutating func add(_ atom: ScalarID, times coefficient: Int64) {
    let position = terms.firstIndex { $0.atom >= atom } ?? terms.count
    if position < terms.count, terms[position].atom == atom {
      terms[position].coefficient = terms[position].coefficient &+ coefficient
      if terms[position].coefficient == 0 { terms.remove(at: position) }
    } else if coefficient != 0 {
      terms.insert(Term(atom: atom, coefficient: coefficient), at: position)
    }
  }

  mutating func add(_ other: AffineForm, times factor: Int64 = 1) {
    constant = constant &+ other.constant &* factor
    for term in other.terms { add(term.atom, times: term.coefficient &* factor) }
  }

  func multiplied(by factor: Int64) -> AffineForm {
    var result = AffineForm()
    result.add(self, times: factor)
    return result
  }

  /// The number of terms, the constant among them where it is not zero.
  var size: Int { terms.count + (constant == 0 ? 0 : 1) }

  package func coefficient(of atom: ScalarID) -> Int64 { terms.first { $0.atom == atom }?.coefficient ?? 0 }

  mutating func removeTerms(where condition: (Term) -> Bool) { terms.removeAll(where: condition) }

  /// The range of the sum as a mathematical number, or nil where it might not fit 64 bits.
  func range(_ rangeOf: (ScalarID) -> ScalarRange) -> ScalarRange? {
    var total = ScalarRange(constant)
    for term in terms {
      guard let product = rangeOf(term.atom).multiplied(by: ScalarRange(term.coefficient)),
        let sum = total.adding(product)
      else { return nil }
      total = sum
    }
    return total
  }
}
