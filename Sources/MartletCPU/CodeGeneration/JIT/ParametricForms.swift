import MartletLoopIR

/// The nests that code was asked for, by their skeletons, and which of their numbers code has as parameters.
struct ParametricForms {
  /// A nest that was seen, or a choice of parameters.
  private struct Form {
    var numbers: [Int64]
    var isParameter: [Bool]

    /// For each number whether it is one of the parameters or differs.
    func differences(_ other: [Int64]) -> [Bool] {
      zip(zip(numbers, other), isParameter).map { $1 || $0.0 != $0.1 }
    }
  }

  private var forms: [StructuralKey: [Form]] = [:]
  /// Whether parameters were chosen for any nest.
  private(set) var hasParameters = false
  /// Nests that were seen, oldest first; their skeletons are made when they are first needed.
  private var unsorted: [Nest] = []

  /// Of one skeleton no more are kept, and no more nests at all than four times what a compiler keeps code of.
  private static let mostForms = 16
  private static let mostSkeletons = 1 << 14

  /// Keeps in mind that there is code for a nest.
  mutating func note(_ nests: [Nest]) {
    unsorted += nests
    if unsorted.count > Self.mostSkeletons { unsorted.removeFirst(unsorted.count - Self.mostSkeletons) }
  }

  /// A nest with those numbers as parameters in which nests like it have differed, and their values; nil if none is like it.
  /// Where only the numbers of iterations differ there are no parameters.
  ///
  /// - Parameter isNew: whether numbers may be made parameters that have not been so far.
  mutating func parametric(_ nest: Nest, isNew: Bool) -> (nest: ParametricNest, values: [Int64])? {
    for nest in unsorted { if let skeleton = nest.skeleton { add(skeleton) } }
    unsorted = []
    guard let skeleton = nest.skeleton, let known = forms[skeleton.key] else { return nil }
    let numbers = skeleton.numbers
    func extent(_ form: Form) -> Int { zip(form.differences(numbers), form.isParameter).count { $0 != $1 } }
    // Code that there is already before other code; else that which needs the fewest more parameters.
    guard
      let nearest = known.min(by: { a, b in
        let (x, y) = (extent(a), extent(b))
        if x != y { return x < y }
        return a.isParameter.contains(true) && !b.isParameter.contains(true)
      })
    else { return nil }
    let isParameter = nearest.differences(numbers)
    if isParameter != nearest.isParameter {
      guard isNew else { return nil }
      insert(Form(numbers: numbers, isParameter: isParameter), skeleton.key)
      hasParameters = true
    }
    return nest.parametric(isParameter)
  }

  private mutating func add(_ skeleton: NestSkeleton) {
    let form = Form(numbers: skeleton.numbers, isParameter: skeleton.numbers.map { _ in false })
    if forms[skeleton.key]?.contains(where: { $0.numbers == form.numbers && $0.isParameter == form.isParameter })
      ?? false
    {
      return
    }
    insert(form, skeleton.key)
  }

  private mutating func insert(_ form: Form, _ key: StructuralKey) {
    if forms.count >= Self.mostSkeletons, forms[key] == nil { forms = [:] }
    forms[key, default: []].append(form)
    if forms[key]!.count > Self.mostForms { forms[key]!.removeFirst() }
  }
}
