import MartletRewriting

extension Pipeline {
  /// The passes that every graph goes through.
  public static let standard = standard(fusing: true)

  /// The standard pipeline, with each operation a kernel of its own if `fusing` is false.
  public static func standard(fusing: Bool) -> Pipeline {
    Pipeline {
      Phase(.typed) {
        InferTypes()
        PromoteState()
        ExpandComposites()
      }
      Phase(.canonical) {
        Fixpoint("Canonicalize") {
          FoldConstants()
          Rewriting(.algebra + .transposes)
          EliminateCommonSubexpressions()
          EliminateDeadNodes()
        }
      }
      Phase(.placed) { PlaceOnDevices() }
      Phase(.fused) { FormKernels(fusing: fusing) }
    }
  }
}
