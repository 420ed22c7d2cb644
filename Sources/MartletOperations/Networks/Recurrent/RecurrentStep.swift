import MartletGraph

/// What a step of a recurrent network computes.
struct RecurrentStep {
  /// The state behind the step: h, and c where there is one.
  var state: [Output]
  /// What the gradient needs beside.
  var kept: [Output]
}
