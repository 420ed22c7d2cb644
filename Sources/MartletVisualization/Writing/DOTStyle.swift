/// How nodes look, by what they are; in the order of the legend.
enum DOTStyle: CaseIterable {
  case placeholder, variable, constant, operation, library, kernel, host, copy, control, effect, scope, result

  var fill: String {
    switch self {
    case .placeholder: "#cdebcf"
    case .variable: "#ffe0ad"
    case .constant: "#e6e6e6"
    case .operation: "#eef3f8"
    case .library: "#b9d9f5"
    case .kernel: "#dccff3"
    case .host: "#f7d9c4"
    case .copy: "#e9ecef"
    case .control: "#f8c8c2"
    case .effect: "#fbe3dd"
    case .scope: "#f5f5d5"
    case .result: "#b5ded6"
    }
  }

  var meaning: String {
    switch self {
    case .placeholder: "fed"
    case .variable: "variable"
    case .constant: "constant"
    case .operation: "operation"
    case .library: "done by a library"
    case .kernel: "generated kernel"
    case .host: "host code"
    case .copy: "copy"
    case .control: "runs sub-graphs"
    case .effect: "has an effect"
    case .scope: "folded"
    case .result: "result"
    }
  }

  var attributes: String {
    switch self {
    case .placeholder, .result: "shape=cds, style=filled, margin=\"0.22,0.1\", fillcolor=\"\(fill)\""
    case .variable: "shape=cylinder, style=filled, fillcolor=\"\(fill)\""
    case .constant: "shape=note, style=filled, fillcolor=\"\(fill)\""
    case .control: "peripheries=2, fillcolor=\"\(fill)\""
    case .scope: "shape=box3d, style=filled, fillcolor=\"\(fill)\""
    case .operation, .library, .kernel, .host, .copy, .effect: "fillcolor=\"\(fill)\""
    }
  }
}
