import MartletDiagnostics
import MartletGraph
import MartletOperations
import MartletRewriting
import MartletTensors

extension RuleSet {
  /// Zeros around images become the padding of the windows that move over them.
  ///
  /// Of the gradients only that of the filter reads the padded images. Under a maximum padding does not count, so zeros
  /// may go into it only where nothing is less than them.
  public static var windows: RuleSet {
    let padded = Pattern.operation("Pad", .value("x"), .value("paddings"))
    let rectifiers: [(name: String, operation: any Operation)] = [("Relu", Relu()), ("Relu6", Relu6())]
    let maxima = rectifiers.map { name, operation in
      Rule(
        "absorb-padding-of-\(name.lowercased())-into-maximum",
        .operation("MaxPool", .operation("Pad", .operation(name, .value("raw")), .value("paddings")))
      ) { m throws(Diagnostic) in try m.absorbingPadding([m.graph.addOne(operation, [m["raw"]])]) }
    }
    return RuleSet(
      "windows",
      ["Conv2D", "DepthwiseConv2dNative"].map { name in
        Rule("absorb-padding-into-\(name.lowercased())", .operation(name, padded, .value("filter"))) {
          m throws(Diagnostic) in try m.absorbingPadding([m["x"], m["filter"]])
        }
      }
        + ["Conv2DBackpropFilter", "DepthwiseConv2dNativeBackpropFilter"].map { name in
          Rule(
            "absorb-padding-into-\(name.lowercased())", .operation(name, padded, .value("sizes"), .value("dy"))
          ) { m throws(Diagnostic) in try m.absorbingPadding([m["x"], m["sizes"], m["dy"]]) }
        } + maxima)
  }
}

extension Match {
  /// The root on other operands, with what was around its images added to its padding.
  fileprivate func absorbingPadding(_ operands: [Output]) throws(Diagnostic) -> [Output]? {
    guard var windowed = root as? any WindowedOperation, windowed.window.padding != "SAME",
      let around = self["paddings"].operand.integers, around.count == 8, around.allSatisfy({ $0 >= 0 })
    else { return nil }
    for axis in windowed.window.dataFormat == "NCHW" ? [0, 1] : [0, 3] {
      guard around[2 * axis] == 0, around[2 * axis + 1] == 0 else { return nil }
    }
    let old = windowed.window.padding == "EXPLICIT" ? windowed.window.explicitPaddings : []
    windowed.window.padding = "EXPLICIT"
    windowed.window.explicitPaddings = old.isEmpty ? around : zip(old, around).map { $0 + $1 }
    if let pooling = windowed as? MaxPool {
      // A window on padding alone has no maximum.
      for (i, padding) in windowed.window.explicitPaddings.enumerated() where padding >= pooling.ksize[i / 2] {
        guard padding == 0 else { return nil }
      }
    }
    return [graph.addOne(windowed, operands)]
  }
}
