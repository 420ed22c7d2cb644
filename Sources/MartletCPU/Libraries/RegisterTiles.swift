/// How the sums of a product of matrices are held in registers: a few rows of one to four vectors at a time.
enum RegisterTiles {
  /// The width of the panels that the columns, a multiple of the lanes of a vector, are cut into.
  static func width(columns: Int, lanes: Int) -> Int {
    let vectors = columns / lanes
    return lanes * (vectors % 4 == 0 ? 4 : vectors % 3 == 0 ? 3 : vectors % 2 == 0 ? 2 : 1)
  }

  /// Groups of rows, as even as can be and of two sizes at most, whose sums fit into registers beside the operands.
  static func groups(of rows: Int, width: Int, lanes: Int) -> [(count: Int, size: Int, first: Int)] {
    let most = (lanes >= 16 ? 24 : 8) * lanes / width
    let groups = (rows + most - 1) / most
    let large = (rows + groups - 1) / groups
    let smallGroups = groups * large - rows
    let largeGroups = groups - smallGroups
    return [(largeGroups, large, 0), (smallGroups, large - 1, largeGroups * large)].filter { $0.0 > 0 && $0.1 > 0 }
  }
}
