import Martlet

extension JSONValue {
  /// What the stages of a compilation took.
  static func profile(_ profile: CompilationProfile) -> JSONValue {
    func passes(_ list: [CompilationProfile.Pass]) -> JSONValue {
      .array(
        list.map { pass in
          .members(
            [(key: "name", value: .string(pass.name)), (key: "seconds", value: .number(pass.seconds))]
              + (pass.passes.isEmpty ? [] : [(key: "passes", value: passes(pass.passes))]))
        })
    }
    let binding = profile.binding
    return .object([
      "extraction_s": .number(profile.extractionSeconds), "passes": passes(profile.passes),
      "planning_s": .number(profile.planningSeconds), "codegen_s": .number(binding.codeSeconds),
      "libraries_s": .number(binding.librarySeconds),
      "kernels": .int(binding.generatedKernels + binding.cachedKernels + binding.reusedKernels),
      "kernels_from_cache": .int(binding.cachedKernels), "kernels_hurried": .int(binding.quickKernels),
    ])
  }
}
