import CMartletRuntime
import Testing

extension RuntimeSuite {
  @Suite(.enabled(if: martlet_llvm_library().pointee.available == 1, "LLVM is not installed"))
  struct CodeGenerationTests {
    let llvm = martlet_llvm_library().pointee

    /// Builds `slots[1][i] = fma(slots[0][i], slots[0][i], 1)` for i in begin ..< end.
    func buildKernel(_ context: OpaquePointer, named name: String) -> OpaquePointer {
      let module = llvm.ModuleCreateWithNameInContext("test", context)!
      let (pointer, int64) = (llvm.PointerTypeInContext(context, 0), llvm.Int64TypeInContext(context))
      let float = llvm.FloatTypeInContext(context)
      var parameters = [pointer, pointer, pointer, pointer, int64, int64]
      let type = llvm.FunctionType(llvm.VoidTypeInContext(context), &parameters, 6, 0)
      let function = llvm.AddFunction(module, name, type)
      for (key, value) in [("prefer-vector-width", "512"), ("target-cpu", String(cString: llvm.cpu))] {
        let attribute = llvm.CreateStringAttribute(
          context, key, UInt32(key.utf8.count), value, UInt32(value.utf8.count))
        llvm.AddAttributeAtIndex(function, .max, attribute)
      }
      let builder = llvm.CreateBuilderInContext(context)
      defer { llvm.DisposeBuilder(builder) }
      let entry = llvm.AppendBasicBlockInContext(context, function, "entry")
      let body = llvm.AppendBasicBlockInContext(context, function, "body")
      let exit = llvm.AppendBasicBlockInContext(context, function, "exit")
      let (begin, end) = (llvm.GetParam(function, 4), llvm.GetParam(function, 5))

      llvm.PositionBuilderAtEnd(builder, entry)
      let one = llvm.ConstInt(int64, 1, 0)
      func element(_ type: OpaquePointer?, _ base: OpaquePointer?, _ index: OpaquePointer?) -> OpaquePointer? {
        var indices = [index]
        return llvm.BuildInBoundsGEP2(builder, type, base, &indices, 1, "")
      }
      let slots = llvm.GetParam(function, 1)
      let source = llvm.BuildLoad2(builder, pointer, slots, "source")
      let result = llvm.BuildLoad2(builder, pointer, element(pointer, slots, one), "result")
      let any = llvm.BuildICmp(builder, martlet_llvm_int_slt, begin, end, "")
      _ = llvm.BuildCondBr(builder, any, body, exit)

      llvm.PositionBuilderAtEnd(builder, body)
      let index = llvm.BuildPhi(builder, int64, "i")
      let x = llvm.BuildLoad2(builder, float, element(float, source, index), "x")
      var types = [float]
      let fma = llvm.LookupIntrinsicID("llvm.fma", 8)
      var operands = [x, x, llvm.ConstReal(float, 1)]
      let value = llvm.BuildCall2(
        builder, llvm.IntrinsicGetType(context, fma, &types, 1), llvm.GetIntrinsicDeclaration(module, fma, &types, 1),
        &operands, 3, "")
      llvm.SetAlignment(llvm.BuildStore(builder, value, element(float, result, index)), 4)
      let next = llvm.BuildNSWAdd(builder, index, one, "next")
      let more = llvm.BuildICmp(builder, martlet_llvm_int_slt, next, end, "")
      _ = llvm.BuildCondBr(builder, more, body, exit)
      var (values, blocks) = ([begin, next], [entry, body])
      llvm.AddIncoming(index, &values, &blocks, 2)
      llvm.PositionBuilderAtEnd(builder, exit)
      _ = llvm.BuildRetVoid(builder)
      return module
    }

    func targetMachine() -> OpaquePointer {
      var (target, message): (OpaquePointer?, UnsafeMutablePointer<CChar>?) = (nil, nil)
      #expect(llvm.GetTargetFromTriple(llvm.triple, &target, &message) == 0)
      return llvm.CreateTargetMachine(
        target, llvm.triple, llvm.cpu, llvm.features, martlet_llvm_level_default, martlet_llvm_relocation_pic,
        martlet_llvm_code_model_jit)!
    }

    func text(_ module: OpaquePointer) -> String {
      let text = llvm.PrintModuleToString(module)!
      defer { llvm.DisposeMessage(text) }
      return String(cString: text)
    }

    @Test func aKernelIsBuiltOptimisedLinkedAndRun() throws {
      let context = llvm.ContextCreate()!
      defer { llvm.ContextDispose(context) }
      let machine = targetMachine()
      defer { llvm.DisposeTargetMachine(machine) }
      let module = buildKernel(context, named: "kernel")
      defer { llvm.DisposeModule(module) }
      llvm.SetTarget(module, llvm.triple)
      let layout = llvm.CreateTargetDataLayout(machine)
      llvm.SetModuleDataLayout(module, layout)
      llvm.DisposeTargetData(layout)

      var message: UnsafeMutablePointer<CChar>?
      #expect(llvm.VerifyModule(module, martlet_llvm_return_when_broken, &message) == 0)
      llvm.DisposeMessage(message)
      let options = llvm.CreatePassBuilderOptions()
      let passes = "function(sroa,early-cse,simplifycfg,loop-simplify,lcssa,loop-rotate,loop-vectorize,instcombine)"
      #expect(llvm.RunPasses(module, passes, machine, options) == nil)
      llvm.DisposePassBuilderOptions(options)
      let lanes = Int(martlet_machine_facts().pointee.vector_bits) / 32
      #expect(text(module).contains("<\(lanes) x float>"))

      var object: OpaquePointer?
      #expect(llvm.TargetMachineEmitToMemoryBuffer(machine, module, martlet_llvm_object_file, &message, &object) == 0)
      var jit: OpaquePointer?
      #expect(llvm.OrcCreateLLJIT(&jit, llvm.OrcCreateLLJITBuilder()) == nil)
      defer { _ = llvm.OrcDisposeLLJIT(jit) }
      #expect(llvm.OrcLLJITAddObjectFile(jit, llvm.OrcLLJITGetMainJITDylib(jit), object) == nil)
      var address: UInt64 = 0
      #expect(llvm.OrcLLJITLookup(jit, &address, "kernel") == nil)
      let kernel = unsafeBitCast(try #require(UnsafeRawPointer(bitPattern: UInt(address))), to: martlet_kernel.self)

      var (source, result) = ((0..<1000).map(Float.init), [Float](repeating: 0, count: 1000))
      source.withUnsafeMutableBytes { source in
        result.withUnsafeMutableBytes { result in
          var slots = [source, result].map { $0.baseAddress?.assumingMemoryBound(to: UInt8.self) }
          martlet_team_kernel(kernel, nil, &slots, nil, nil, 0, 1000, 1)
        }
      }
      #expect(result == (0..<1000).map { Float($0 * $0 + 1) })
    }

    @Test func aMissingSymbolIsAnError() throws {
      var jit: OpaquePointer?
      #expect(llvm.OrcCreateLLJIT(&jit, llvm.OrcCreateLLJITBuilder()) == nil)
      defer { _ = llvm.OrcDisposeLLJIT(jit) }
      var address: UInt64 = 0
      let error = try #require(llvm.OrcLLJITLookup(jit, &address, "no_such_kernel"))
      let message = llvm.GetErrorMessage(error)!
      defer { llvm.DisposeErrorMessage(message) }
      #expect(String(cString: message).contains("no_such_kernel"))
    }
  }
}
