import MartletTensors
import Testing

@Suite struct ElementTypeTests {
  /// Widths as NumPy has them, numbers as in TensorFlow's `types.proto`.
  static let table: [(ElementType, String, width: Int, code: Int32, computable: Bool)] = [
    (.float32, "float32", 4, 1, true), (.float64, "float64", 8, 2, true), (.int32, "int32", 4, 3, true),
    (.uint8, "uint8", 1, 4, true), (.int16, "int16", 2, 5, false), (.int8, "int8", 1, 6, false),
    (.string, "string", 0, 7, false), (.complex64, "complex64", 8, 8, false), (.int64, "int64", 8, 9, true),
    (.bool, "bool", 1, 10, true), (.bfloat16, "bfloat16", 2, 14, true), (.uint16, "uint16", 2, 17, false),
    (.complex128, "complex128", 16, 18, false), (.float16, "float16", 2, 19, true), (.uint32, "uint32", 4, 22, false),
    (.uint64, "uint64", 8, 23, false),
  ]

  @Test func tableNamesEveryTypeOnce() {
    #expect(Set(Self.table.map(\.0)) == Set(ElementType.allCases))
    #expect(Self.table.count == ElementType.allCases.count)
  }

  @Test(arguments: table.indices) func propertiesAgreeWithTheOutsideWorld(row: Int) {
    let (type, name, width, code, computable) = Self.table[row]
    #expect(type.name == name)
    #expect(type.byteWidth == width)
    #expect(type.tensorFlowCode == code)
    #expect(type.isComputable == computable)
    #expect(ElementType(name: name) == type)
    #expect(ElementType(tensorFlowCode: code) == type)
  }

  @Test(arguments: [0, 11, 12, 13, 15, 16, 20, 21, 24, 101, -1, .max] as [Int32])
  func codesOfOtherTypesHaveNoType(code: Int32) {
    #expect(ElementType(tensorFlowCode: code) == nil)
  }

  @Test func unknownNamesHaveNoType() {
    #expect(ElementType(name: "float") == nil)
    #expect(ElementType(name: "") == nil)
  }

  @Test func kindsPartitionTheTypes() {
    #expect(ElementType.allCases.filter(\.isFloatingPoint) == [.float32, .float64, .float16, .bfloat16])
    #expect(
      ElementType.allCases.filter(\.isInteger) == [.int32, .int64, .uint8, .int8, .int16, .uint16, .uint32, .uint64])
    #expect(ElementType.allCases.filter(\.isComplex) == [.complex64, .complex128])
    #expect(
      ElementType.allCases.filter { !$0.isSigned } == [.uint8, .bool, .uint16, .uint32, .uint64, .string])
  }

  /// From the standards: IEEE 754's binary16, and the upper half of binary32.
  @Test func halves() {
    #expect(ElementType.allCases.filter(\.isHalf) == [.float16, .bfloat16])
    #expect(ElementType.allCases.filter { $0.arithmeticType != $0 } == [.float16, .bfloat16])
    #expect(ElementType.float16.significandWidth == 11)
    #expect(ElementType.bfloat16.significandWidth == 8)
    #expect(ElementType.float16.greatestFiniteMagnitude == 65504)
    #expect(ElementType.bfloat16.greatestFiniteMagnitude == 0x1.FEp127)
    #expect(ElementType.float16.leastNonzeroMagnitude == 0x1p-24)
    #expect(ElementType.bfloat16.leastNonzeroMagnitude == 0x1p-133)
  }

  @Test func swiftTypesHaveTheirWidth() {
    func check<T: TensorElement>(_ type: T.Type) {
      #expect(MemoryLayout<T>.stride == T.elementType.byteWidth)
      #expect(T.elementType.isComputable)
    }
    check(Float.self)
    check(Double.self)
    check(Float16.self)
    check(BFloat16.self)
    check(Int32.self)
    check(Int64.self)
    check(UInt8.self)
    check(Bool.self)
  }
}
