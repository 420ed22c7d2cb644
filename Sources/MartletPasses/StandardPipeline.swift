import MartletRewriting

extension Pipeline {
  /// The passes that every graph goes through.
  public static let standard = standard(fusing: true)

  /// The rules that the standard pipeline applies.
  public static let standardRules: RuleSet = .algebra + .transposes + .windows + .stability

  /// The standard pipeline.
  ///
  /// - Parameters:
  ///   - fusing: whether operations are joined into kernels; else each is a kernel of its own.
  ///   - softPlacement: whether nodes whose device is not there go to the one that is.
  ///   - exact: whether operations keep their own rounding where they become part of another.
  ///   - savingMemory: whether less memory is worth more time.
  ///   - rules: rewrites beside Martlet's own, applied with them.
  ///   - disabledRules: the names of rules that are not applied.
  public static func standard(
    fusing: Bool, softPlacement: Bool = false, exact: Bool = false, savingMemory: Bool = false, rules: RuleSet? = nil,
    disabledRules: Set<String> = []
  ) -> Pipeline {
    let canonical = rules.map { standardRules + $0 } ?? standardRules
    return Pipeline {
      Phase(.typed) {
        InferTypes()
        PromoteState()
        ExpandComposites()
      }
      Phase(.canonical) {
        Fixpoint("Canonicalize") {
          FoldConstants()
          Rewriting(canonical.without(disabledRules))
          EliminateCommonSubexpressions()
          EliminateDeadNodes()
        }
      }
      Phase(.placed) { PlaceOnDevices(soft: softPlacement) }
      Phase(.fused) {
        MergeProducts(exact: exact)
        EvaluateConstants()
        FormNormalizations(forming: fusing && !exact)
        WidenLibraryCalls()
        FormAttention(forming: fusing && !exact, savingMemory: savingMemory)
        PackSharedMatrices(packing: fusing)
        AttachEpilogues(fusing: fusing, foldingScales: !exact, exact: exact)
        SumFactors(fusing: fusing && !exact)
        EvaluateConstants()
        FormKernels(fusing: fusing, exact: exact)
      }
    }
  }
}
