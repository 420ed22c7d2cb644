import CMartletRuntime

/// A value, type or block of LLVM's; it belongs to the builder's context.
typealias IRValue = OpaquePointer
typealias IRType = OpaquePointer
typealias IRBlock = OpaquePointer

/// Appends LLVM instructions to one module in a context of its own.
///
/// One thread at a time uses a builder. No instruction carries a flag that makes a result undefined (`nsw`, `nnan`, …).
final class IRBuilder {
  let llvm: UnsafePointer<martlet_llvm>
  let context: OpaquePointer
  let module: OpaquePointer
  let builder: OpaquePointer

  let void: IRType
  let pointer: IRType
  let int1: IRType
  let int8: IRType
  let int16: IRType
  let int32: IRType
  let int64: IRType
  let half: IRType
  let float: IRType
  let double: IRType

  /// Whether the processor has instructions between `half` and `float`; without them LLVM calls functions that are not there.
  let hasHalfConversions: Bool
  /// Whether the processor multiplies 512 bits of floats by powers of two in one instruction (AVX-512).
  let hasScaling: Bool

  init(
    _ llvm: UnsafePointer<martlet_llvm>, moduleName: String, hasHalfConversions: Bool = false, hasScaling: Bool = false
  ) {
    self.hasHalfConversions = hasHalfConversions
    self.hasScaling = hasScaling
    let functions = llvm.pointee
    self.llvm = llvm
    context = functions.ContextCreate()!
    module = functions.ModuleCreateWithNameInContext(moduleName, context)!
    builder = functions.CreateBuilderInContext(context)!
    void = functions.VoidTypeInContext(context)!
    pointer = functions.PointerTypeInContext(context, 0)!
    int1 = functions.Int1TypeInContext(context)!
    int8 = functions.Int8TypeInContext(context)!
    int16 = functions.Int16TypeInContext(context)!
    int32 = functions.Int32TypeInContext(context)!
    int64 = functions.Int64TypeInContext(context)!
    half = functions.HalfTypeInContext(context)!
    float = functions.FloatTypeInContext(context)!
    double = functions.DoubleTypeInContext(context)!
  }

  deinit {
    llvm.pointee.DisposeBuilder(builder)
    llvm.pointee.DisposeModule(module)
    llvm.pointee.ContextDispose(context)
  }

  // MARK: Types

  /// `lanes` values of `type`, or `type` itself for one lane.
  func lanes(_ type: IRType, _ lanes: Int) -> IRType {
    lanes == 1 ? type : llvm.pointee.VectorType(type, UInt32(lanes))!
  }
  func type(of value: IRValue) -> IRType { llvm.pointee.TypeOf(value)! }

  // MARK: Constants

  func constant(_ value: Int64, _ type: IRType) -> IRValue {
    llvm.pointee.ConstInt(type, UInt64(bitPattern: value), 1)!
  }
  func int(_ value: Int) -> IRValue { constant(Int64(value), int64) }
  func zero(_ type: IRType) -> IRValue { llvm.pointee.ConstNull(type)! }
  func poison(_ type: IRType) -> IRValue { llvm.pointee.GetPoison(type)! }
  func vector(_ elements: [IRValue]) -> IRValue {
    var elements: [IRValue?] = elements
    return llvm.pointee.ConstVector(&elements, UInt32(elements.count))!
  }
  /// The constant in every lane.
  func repeated(_ constant: IRValue, _ lanes: Int) -> IRValue {
    lanes == 1 ? constant : vector(Array(repeating: constant, count: lanes))
  }
  /// The integers 0, stride, 2·stride, ….
  func steps(_ type: IRType, _ lanes: Int, stride: Int64 = 1) -> IRValue {
    vector((0..<lanes).map { constant(stride &* Int64($0), type) })
  }
  /// A mask with the first `active` lanes set.
  func mask(_ lanes: Int, active: Int) -> IRValue { vector((0..<lanes).map { constant($0 < active ? 1 : 0, int1) }) }

  // MARK: Position

  var block: IRBlock { llvm.pointee.GetInsertBlock(builder)! }
  func position(at block: IRBlock) { llvm.pointee.PositionBuilderAtEnd(builder, block) }
  func append(_ name: String, to function: IRValue) -> IRBlock {
    llvm.pointee.AppendBasicBlockInContext(context, function, name)!
  }
  /// A new block in the function that is being built.
  func block(_ name: String) -> IRBlock { append(name, to: llvm.pointee.GetBasicBlockParent(block)!) }

  // MARK: Functions

  /// A new function without code, which may use vector registers of this width.
  func function(_ name: String, _ type: IRType, vectorBits: Int) -> IRValue {
    let function: IRValue = llvm.pointee.AddFunction(module, name, type)!
    let kind = llvm.pointee.GetEnumAttributeKindForName("nounwind", 8)
    let (key, value) = ("prefer-vector-width", "\(vectorBits)")
    // Without a preference LLVM uses only half of a 512-bit register.
    let attributes: [OpaquePointer] = [
      llvm.pointee.CreateEnumAttribute(context, kind, 0)!,
      llvm.pointee.CreateStringAttribute(context, key, UInt32(key.utf8.count), value, UInt32(value.utf8.count))!,
    ]
    for attribute in attributes { llvm.pointee.AddAttributeAtIndex(function, UInt32.max, attribute) }
    return function
  }

  // MARK: Control flow

  func branch(_ target: IRBlock) { _ = llvm.pointee.BuildBr(builder, target) }
  func branch(if condition: IRValue, _ then: IRBlock, else otherwise: IRBlock) {
    _ = llvm.pointee.BuildCondBr(builder, condition, then, otherwise)
  }
  func phi(_ type: IRType) -> IRValue { llvm.pointee.BuildPhi(builder, type, "")! }
  func addIncoming(_ phi: IRValue, _ value: IRValue, from block: IRBlock) {
    var (value, block): (IRValue?, IRBlock?) = (value, block)
    llvm.pointee.AddIncoming(phi, &value, &block, 1)
  }
  func returnVoid() { _ = llvm.pointee.BuildRetVoid(builder) }

  // MARK: Integers

  func add(_ x: IRValue, _ y: IRValue) -> IRValue { llvm.pointee.BuildAdd(builder, x, y, "")! }
  func sub(_ x: IRValue, _ y: IRValue) -> IRValue { llvm.pointee.BuildSub(builder, x, y, "")! }
  func mul(_ x: IRValue, _ y: IRValue) -> IRValue { llvm.pointee.BuildMul(builder, x, y, "")! }
  func sdiv(_ x: IRValue, _ y: IRValue) -> IRValue { llvm.pointee.BuildSDiv(builder, x, y, "")! }
  func udiv(_ x: IRValue, _ y: IRValue) -> IRValue { llvm.pointee.BuildUDiv(builder, x, y, "")! }
  func and(_ x: IRValue, _ y: IRValue) -> IRValue { llvm.pointee.BuildAnd(builder, x, y, "")! }
  func or(_ x: IRValue, _ y: IRValue) -> IRValue { llvm.pointee.BuildOr(builder, x, y, "")! }
  func xor(_ x: IRValue, _ y: IRValue) -> IRValue { llvm.pointee.BuildXor(builder, x, y, "")! }
  func not(_ x: IRValue) -> IRValue { llvm.pointee.BuildNot(builder, x, "")! }
  func shl(_ x: IRValue, _ y: IRValue) -> IRValue { llvm.pointee.BuildShl(builder, x, y, "")! }
  func lshr(_ x: IRValue, _ y: IRValue) -> IRValue { llvm.pointee.BuildLShr(builder, x, y, "")! }
  func ashr(_ x: IRValue, _ y: IRValue) -> IRValue { llvm.pointee.BuildAShr(builder, x, y, "")! }
  func compare(_ predicate: martlet_llvm_int_predicate, _ x: IRValue, _ y: IRValue) -> IRValue {
    llvm.pointee.BuildICmp(builder, predicate, x, y, "")!
  }

  // MARK: Floats

  func fadd(_ x: IRValue, _ y: IRValue) -> IRValue { llvm.pointee.BuildFAdd(builder, x, y, "")! }
  func fsub(_ x: IRValue, _ y: IRValue) -> IRValue { llvm.pointee.BuildFSub(builder, x, y, "")! }
  func fmul(_ x: IRValue, _ y: IRValue) -> IRValue { llvm.pointee.BuildFMul(builder, x, y, "")! }
  func fdiv(_ x: IRValue, _ y: IRValue) -> IRValue { llvm.pointee.BuildFDiv(builder, x, y, "")! }
  func frem(_ x: IRValue, _ y: IRValue) -> IRValue { llvm.pointee.BuildFRem(builder, x, y, "")! }
  func fneg(_ x: IRValue) -> IRValue { llvm.pointee.BuildFNeg(builder, x, "")! }
  func compare(_ predicate: martlet_llvm_real_predicate, _ x: IRValue, _ y: IRValue) -> IRValue {
    llvm.pointee.BuildFCmp(builder, predicate, x, y, "")!
  }

  // MARK: Conversions, each to a type with as many lanes

  func trunc(_ x: IRValue, _ type: IRType) -> IRValue { llvm.pointee.BuildTrunc(builder, x, type, "")! }
  func zext(_ x: IRValue, _ type: IRType) -> IRValue { llvm.pointee.BuildZExt(builder, x, type, "")! }
  func sext(_ x: IRValue, _ type: IRType) -> IRValue { llvm.pointee.BuildSExt(builder, x, type, "")! }
  func fptrunc(_ x: IRValue, _ type: IRType) -> IRValue { llvm.pointee.BuildFPTrunc(builder, x, type, "")! }
  func fpext(_ x: IRValue, _ type: IRType) -> IRValue { llvm.pointee.BuildFPExt(builder, x, type, "")! }
  func sitofp(_ x: IRValue, _ type: IRType) -> IRValue { llvm.pointee.BuildSIToFP(builder, x, type, "")! }
  func uitofp(_ x: IRValue, _ type: IRType) -> IRValue { llvm.pointee.BuildUIToFP(builder, x, type, "")! }
  /// Only for values that fit: anything else is undefined.
  func fptosi(_ x: IRValue, _ type: IRType) -> IRValue { llvm.pointee.BuildFPToSI(builder, x, type, "")! }
  func bitcast(_ x: IRValue, _ type: IRType) -> IRValue { llvm.pointee.BuildBitCast(builder, x, type, "")! }

  // MARK: Selection and lanes

  func select(_ condition: IRValue, _ x: IRValue, _ y: IRValue) -> IRValue {
    llvm.pointee.BuildSelect(builder, condition, x, y, "")!
  }
  func extract(_ vector: IRValue, _ lane: Int) -> IRValue { extract(vector, constant(Int64(lane), int32)) }
  func extract(_ vector: IRValue, _ lane: IRValue) -> IRValue {
    llvm.pointee.BuildExtractElement(builder, vector, lane, "")!
  }
  func insert(_ value: IRValue, into vector: IRValue, _ lane: Int) -> IRValue {
    llvm.pointee.BuildInsertElement(builder, vector, value, constant(Int64(lane), int32), "")!
  }
  func shuffle(_ x: IRValue, _ y: IRValue, _ lanes: [Int]) -> IRValue {
    llvm.pointee.BuildShuffleVector(builder, x, y, vector(lanes.map { constant(Int64($0), int32) }), "")!
  }
  /// The value in every lane.
  func splat(_ value: IRValue, _ lanes: Int) -> IRValue {
    if lanes == 1 { return value }
    if llvm.pointee.IsConstant(value) != 0 { return repeated(value, lanes) }
    let empty = poison(self.lanes(type(of: value), lanes))
    return shuffle(insert(value, into: empty, 0), empty, Array(repeating: 0, count: lanes))
  }

  // MARK: Memory

  func alloca(_ type: IRType) -> IRValue { llvm.pointee.BuildAlloca(builder, type, "")! }
  func load(_ type: IRType, _ address: IRValue, alignment: Int) -> IRValue {
    let load: IRValue = llvm.pointee.BuildLoad2(builder, type, address, "")!
    llvm.pointee.SetAlignment(load, UInt32(alignment))
    return load
  }
  func store(_ value: IRValue, _ address: IRValue, alignment: Int) {
    llvm.pointee.SetAlignment(llvm.pointee.BuildStore(builder, value, address), UInt32(alignment))
  }
  /// Has a line fetched, to be read; nothing happens where there is no memory.
  ///
  /// - Parameter level: 3 for the first-level cache, 2 for the second.
  func fetch(_ line: IRValue, level: Int) {
    let hints = [0, Int64(level), 1].map { constant($0, int32) }
    _ = intrinsic("llvm.prefetch", [pointer], [line] + hints)
  }
  /// A store past the caches, which other threads see only after `fence()`.
  func stream(_ value: IRValue, _ address: IRValue, alignment: Int) {
    let store: IRValue = llvm.pointee.BuildStore(builder, value, address)!
    llvm.pointee.SetAlignment(store, UInt32(alignment))
    let name = "nontemporal"
    let kind = llvm.pointee.GetMDKindIDInContext(context, name, UInt32(name.utf8.count))
    var one = llvm.pointee.ValueAsMetadata(constant(1, int32))
    let node = llvm.pointee.MDNodeInContext2(context, &one, 1)
    llvm.pointee.SetMetadata(store, kind, llvm.pointee.MetadataAsValue(context, node))
  }
  func fence() { _ = llvm.pointee.BuildFence(builder, martlet_llvm_sequentially_consistent, 0, "") }
  /// Whether an address is a multiple of a power of two.
  func isAligned(_ address: IRValue, to alignment: Int) -> IRValue {
    let number: IRValue = llvm.pointee.BuildPtrToInt(builder, address, int64, "")!
    return compare(martlet_llvm_int_eq, and(number, int(alignment - 1)), int(0))
  }
  /// The address of element `index` of an array of `type`; a vector of addresses for a vector of indices.
  func element(_ type: IRType, _ base: IRValue, _ index: IRValue) -> IRValue {
    var index: IRValue? = index
    return llvm.pointee.BuildGEP2(builder, type, base, &index, 1, "")!
  }

  // MARK: Calls

  func call(_ type: IRType, _ function: IRValue, _ arguments: [IRValue]) -> IRValue {
    var arguments: [IRValue?] = arguments
    return llvm.pointee.BuildCall2(builder, type, function, &arguments, UInt32(arguments.count), "")!
  }

  func functionType(_ result: IRType, _ parameters: [IRType]) -> IRType {
    var parameters: [IRType?] = parameters
    return llvm.pointee.FunctionType(result, &parameters, UInt32(parameters.count), 0)!
  }

  /// Calls the intrinsic `name`, overloaded on `types`.
  func intrinsic(_ name: String, _ types: [IRType], _ arguments: [IRValue]) -> IRValue {
    let id = llvm.pointee.LookupIntrinsicID(name, name.utf8.count)
    precondition(id != 0, "LLVM has no intrinsic \(name)")
    var types: [IRType?] = types
    let declaration: IRValue = llvm.pointee.GetIntrinsicDeclaration(module, id, &types, types.count)!
    return call(llvm.pointee.GlobalGetValueType(declaration)!, declaration, arguments)
  }

  /// Calls a function of this process by its name.
  func call(external name: String, _ result: IRType, _ parameters: [IRType], _ arguments: [IRValue]) -> IRValue {
    let type = functionType(result, parameters)
    let function: IRValue =
      llvm.pointee.GetNamedFunction(module, name) ?? llvm.pointee.AddFunction(module, name, type)!
    return call(type, function, arguments)
  }
}
