import Martlet
import Testing

@Suite struct VariableStoreTests {
  @Test func aNameStandsForOneVariableOfOneType() throws {
    let store = VariableStore()
    let type = TensorType(.float32, [2])
    let a = try store.variable("a", type: type)
    #expect(try store.variable("a", type: type) === a)
    #expect(throws: Diagnostic.self) { try store.variable("a", type: TensorType(.float32, [3])) }
    let b = try store.variable("b", type: type)
    #expect(store.all.map(\.name) == ["a", "b"])
    #expect(store["b"] === b)
    #expect(store["c"] == nil)
  }

  @Test func valuesAreCopies() throws {
    let variable = try VariableStore().variable("v", type: TensorType(.int32, [3]))
    #expect(try variable.value == nil)
    var value = Tensor([1, 2, 3] as [Int32])
    try variable.assign(value)
    value.withUnsafeMutableBufferPointer(of: Int32.self) { $0[0] = 9 }
    let first = try variable.value
    try variable.assign(Tensor([4, 5, 6] as [Int32]))
    #expect(first?.scalars() == [1, 2, 3] as [Int32])
    #expect(try variable.value?.scalars() == [4, 5, 6] as [Int32])
    let error = #expect(throws: Diagnostic.self) { try variable.assign(Tensor([1] as [Int32])) }
    #expect(error?.required == "int32[3]")
    #expect(error?.found == "int32[1]")
  }
}
