import MartletRewriting

extension Pipeline {
  /// The passes that every graph goes through.
  public static let standard = standard(fusing: true)

  /// The standard pipeline.
  ///
  /// - Parameters:
  ///   - fusing: whether operations are joined into kernels; else each is a kernel of its own.
  ///   - exact: whether operations keep their own rounding where they become part of another.
  ///   - rules: rewrites beside Martlet's own, applied with them.
  public static func standard(fusing: Bool, exact: Bool = false, rules: RuleSet? = nil) -> Pipeline {
    let canonical: RuleSet = .algebra + .transposes + .windows
    return Pipeline {
      Phase(.typed) {
        InferTypes()
        PromoteState()
        ExpandComposites()
      }
      Phase(.canonical) {
        Fixpoint("Canonicalize") {
          FoldConstants()
          Rewriting(rules.map { canonical + $0 } ?? canonical)
          EliminateCommonSubexpressions()
          EliminateDeadNodes()
        }
      }
      Phase(.placed) { PlaceOnDevices() }
      Phase(.fused) {
        MergeProducts()
        EvaluateConstants()
        AttachEpilogues(fusing: fusing, foldingScales: !exact)
        EvaluateConstants()
        FormKernels(fusing: fusing)
      }
    }
  }
}
