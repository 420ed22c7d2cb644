import MartletDiagnostics
import MartletScheduling

extension ExecutionPlan {
  /// Takes the locks of a run's variables, in the order of their numbers.
  package func lock(_ stored: [StoredVariable]) {
    var order = Array(stored.indices)
    if !zip(stored, stored.dropFirst()).allSatisfy({ $0.number < $1.number }) {
      order.sort { stored[$0].number < stored[$1].number }
    }
    for i in order { stored[i].acquire(exclusively: variables[i].result != nil) }
  }

  /// - Throws: a diagnostic for a variable that the run reads and that has no value. The locks are held.
  package func checkValues(of stored: [StoredVariable]) throws(Diagnostic) {
    for (variable, binding) in zip(stored, variables) {
      guard binding.argument == nil || variable.isInitialized else {
        throw Diagnostic(
          "the variable '\(variable.name)' is read before it has a value",
          hint: "run the graph's initializer first: session.run(graph.initializer)")
      }
    }
  }
}
