import MartletRewriting

extension Pipeline {
  /// The passes that every graph goes through.
  public static let standard = standard(fusing: true)

  /// The standard pipeline.
  ///
  /// - Parameters:
  ///   - fusing: whether operations are joined into kernels; else each is a kernel of its own.
  ///   - rules: rewrites beside Martlet's own, applied with them.
  public static func standard(fusing: Bool, rules: RuleSet? = nil) -> Pipeline {
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
        AttachEpilogues(fusing: fusing)
        EvaluateConstants()
        FormKernels(fusing: fusing)
      }
    }
  }
}
