/// The functions of LLVM's C interface that code generation needs: `F(result, name, parameters)` for each, with the
/// prefix "LLVM" left out. LLVM 15 to 21 have all of the first list; of the second a version may lack some.
#ifndef MARTLET_LLVM_FUNCTIONS_H
#define MARTLET_LLVM_FUNCTIONS_H

// Contexts, messages, errors.
#define MARTLET_LLVM_CONTEXT_FUNCTIONS(F) \
  F(martlet_llvm_context, ContextCreate, (void)) \
  F(void, ContextDispose, (martlet_llvm_context)) \
  F(void, ContextSetDiagnosticHandler, (martlet_llvm_context, martlet_llvm_diagnostic_handler, void *)) \
  F(char *, GetDiagInfoDescription, (martlet_llvm_diagnostic)) \
  F(martlet_llvm_severity, GetDiagInfoSeverity, (martlet_llvm_diagnostic)) \
  F(void, DisposeMessage, (char *)) \
  F(char *, GetErrorMessage, (martlet_llvm_error)) \
  F(void, DisposeErrorMessage, (char *)) \
  F(void, ConsumeError, (martlet_llvm_error))

// Modules, functions, globals.
#define MARTLET_LLVM_MODULE_FUNCTIONS(F) \
  F(martlet_llvm_module, ModuleCreateWithNameInContext, (const char *, martlet_llvm_context)) \
  F(void, DisposeModule, (martlet_llvm_module)) \
  F(void, SetTarget, (martlet_llvm_module, const char *)) \
  F(void, SetModuleDataLayout, (martlet_llvm_module, martlet_llvm_data_layout)) \
  F(char *, PrintModuleToString, (martlet_llvm_module)) \
  F(int, VerifyModule, (martlet_llvm_module, martlet_llvm_verifier_action, char **)) \
  F(int, ParseIRInContext, (martlet_llvm_context, martlet_llvm_buffer, martlet_llvm_module *, char **)) \
  F(martlet_llvm_value, AddFunction, (martlet_llvm_module, const char *, martlet_llvm_type)) \
  F(martlet_llvm_value, GetNamedFunction, (martlet_llvm_module, const char *)) \
  F(martlet_llvm_value, AddGlobal, (martlet_llvm_module, martlet_llvm_type, const char *)) \
  F(void, SetInitializer, (martlet_llvm_value, martlet_llvm_value)) \
  F(void, SetGlobalConstant, (martlet_llvm_value, int)) \
  F(void, SetLinkage, (martlet_llvm_value, martlet_llvm_linkage)) \
  F(void, SetAlignment, (martlet_llvm_value, unsigned)) \
  F(martlet_llvm_value, GetParam, (martlet_llvm_value, unsigned)) \
  F(unsigned, LookupIntrinsicID, (const char *, size_t)) \
  F(martlet_llvm_value, GetIntrinsicDeclaration, (martlet_llvm_module, unsigned, martlet_llvm_type *, size_t)) \
  F(martlet_llvm_type, IntrinsicGetType, (martlet_llvm_context, unsigned, martlet_llvm_type *, size_t))

// Types.
#define MARTLET_LLVM_TYPE_FUNCTIONS(F) \
  F(martlet_llvm_type, VoidTypeInContext, (martlet_llvm_context)) \
  F(martlet_llvm_type, Int1TypeInContext, (martlet_llvm_context)) \
  F(martlet_llvm_type, Int8TypeInContext, (martlet_llvm_context)) \
  F(martlet_llvm_type, Int16TypeInContext, (martlet_llvm_context)) \
  F(martlet_llvm_type, Int32TypeInContext, (martlet_llvm_context)) \
  F(martlet_llvm_type, Int64TypeInContext, (martlet_llvm_context)) \
  F(martlet_llvm_type, IntTypeInContext, (martlet_llvm_context, unsigned)) \
  F(martlet_llvm_type, HalfTypeInContext, (martlet_llvm_context)) \
  F(martlet_llvm_type, BFloatTypeInContext, (martlet_llvm_context)) \
  F(martlet_llvm_type, FloatTypeInContext, (martlet_llvm_context)) \
  F(martlet_llvm_type, DoubleTypeInContext, (martlet_llvm_context)) \
  F(martlet_llvm_type, PointerTypeInContext, (martlet_llvm_context, unsigned)) \
  F(martlet_llvm_type, VectorType, (martlet_llvm_type, unsigned)) \
  F(martlet_llvm_type, ArrayType, (martlet_llvm_type, unsigned)) \
  F(martlet_llvm_type, StructTypeInContext, (martlet_llvm_context, martlet_llvm_type *, unsigned, int)) \
  F(martlet_llvm_type, FunctionType, (martlet_llvm_type, martlet_llvm_type *, unsigned, int)) \
  F(martlet_llvm_type, TypeOf, (martlet_llvm_value)) \
  F(martlet_llvm_type, GlobalGetValueType, (martlet_llvm_value)) \
  F(martlet_llvm_type, GetElementType, (martlet_llvm_type)) \
  F(unsigned, GetVectorSize, (martlet_llvm_type)) \
  F(unsigned, GetIntTypeWidth, (martlet_llvm_type)) \
  F(char *, PrintTypeToString, (martlet_llvm_type))

// Constants and other values.
#define MARTLET_LLVM_VALUE_FUNCTIONS(F) \
  F(martlet_llvm_value, ConstInt, (martlet_llvm_type, unsigned long long, int)) \
  F(martlet_llvm_value, ConstReal, (martlet_llvm_type, double)) \
  F(martlet_llvm_value, ConstNull, (martlet_llvm_type)) \
  F(martlet_llvm_value, ConstAllOnes, (martlet_llvm_type)) \
  F(martlet_llvm_value, GetUndef, (martlet_llvm_type)) \
  F(martlet_llvm_value, GetPoison, (martlet_llvm_type)) \
  F(martlet_llvm_value, ConstVector, (martlet_llvm_value *, unsigned)) \
  F(martlet_llvm_value, ConstArray, (martlet_llvm_type, martlet_llvm_value *, unsigned)) \
  F(martlet_llvm_value, ConstStructInContext, (martlet_llvm_context, martlet_llvm_value *, unsigned, int)) \
  F(martlet_llvm_value, ConstIntToPtr, (martlet_llvm_value, martlet_llvm_type)) \
  F(int, IsConstant, (martlet_llvm_value)) \
  F(void, SetValueName2, (martlet_llvm_value, const char *, size_t)) \
  F(void, ReplaceAllUsesWith, (martlet_llvm_value, martlet_llvm_value)) \
  F(char *, PrintValueToString, (martlet_llvm_value))

// Blocks, the builder's position, control flow.
#define MARTLET_LLVM_BLOCK_FUNCTIONS(F) \
  F(martlet_llvm_block, AppendBasicBlockInContext, (martlet_llvm_context, martlet_llvm_value, const char *)) \
  F(martlet_llvm_block, InsertBasicBlockInContext, (martlet_llvm_context, martlet_llvm_block, const char *)) \
  F(void, MoveBasicBlockAfter, (martlet_llvm_block, martlet_llvm_block)) \
  F(martlet_llvm_block, GetEntryBasicBlock, (martlet_llvm_value)) \
  F(martlet_llvm_block, GetInsertBlock, (martlet_llvm_builder)) \
  F(martlet_llvm_value, GetBasicBlockParent, (martlet_llvm_block)) \
  F(martlet_llvm_value, GetBasicBlockTerminator, (martlet_llvm_block)) \
  F(martlet_llvm_value, GetFirstInstruction, (martlet_llvm_block)) \
  F(martlet_llvm_builder, CreateBuilderInContext, (martlet_llvm_context)) \
  F(void, DisposeBuilder, (martlet_llvm_builder)) \
  F(void, PositionBuilderAtEnd, (martlet_llvm_builder, martlet_llvm_block)) \
  F(void, PositionBuilderBefore, (martlet_llvm_builder, martlet_llvm_value)) \
  F(martlet_llvm_value, BuildRetVoid, (martlet_llvm_builder)) \
  F(martlet_llvm_value, BuildRet, (martlet_llvm_builder, martlet_llvm_value)) \
  F(martlet_llvm_value, BuildBr, (martlet_llvm_builder, martlet_llvm_block)) \
  F(martlet_llvm_value, BuildCondBr, \
    (martlet_llvm_builder, martlet_llvm_value, martlet_llvm_block, martlet_llvm_block)) \
  F(martlet_llvm_value, BuildSwitch, (martlet_llvm_builder, martlet_llvm_value, martlet_llvm_block, unsigned)) \
  F(void, AddCase, (martlet_llvm_value, martlet_llvm_value, martlet_llvm_block)) \
  F(martlet_llvm_value, BuildUnreachable, (martlet_llvm_builder)) \
  F(martlet_llvm_value, BuildPhi, (martlet_llvm_builder, martlet_llvm_type, const char *)) \
  F(void, AddIncoming, (martlet_llvm_value, martlet_llvm_value *, martlet_llvm_block *, unsigned)) \
  F(martlet_llvm_value, BuildCall2, \
    (martlet_llvm_builder, martlet_llvm_type, martlet_llvm_value, martlet_llvm_value *, unsigned, const char *))

// Arithmetic: all of these have the same parameters.
#define MARTLET_LLVM_BINARY_FUNCTIONS(F) \
  MARTLET_LLVM_BINARY(F, BuildAdd) \
  MARTLET_LLVM_BINARY(F, BuildNSWAdd) \
  MARTLET_LLVM_BINARY(F, BuildNUWAdd) \
  MARTLET_LLVM_BINARY(F, BuildFAdd) \
  MARTLET_LLVM_BINARY(F, BuildSub) \
  MARTLET_LLVM_BINARY(F, BuildNSWSub) \
  MARTLET_LLVM_BINARY(F, BuildNUWSub) \
  MARTLET_LLVM_BINARY(F, BuildFSub) \
  MARTLET_LLVM_BINARY(F, BuildMul) \
  MARTLET_LLVM_BINARY(F, BuildNSWMul) \
  MARTLET_LLVM_BINARY(F, BuildNUWMul) \
  MARTLET_LLVM_BINARY(F, BuildFMul) \
  MARTLET_LLVM_BINARY(F, BuildUDiv) \
  MARTLET_LLVM_BINARY(F, BuildSDiv) \
  MARTLET_LLVM_BINARY(F, BuildFDiv) \
  MARTLET_LLVM_BINARY(F, BuildURem) \
  MARTLET_LLVM_BINARY(F, BuildSRem) \
  MARTLET_LLVM_BINARY(F, BuildFRem) \
  MARTLET_LLVM_BINARY(F, BuildShl) \
  MARTLET_LLVM_BINARY(F, BuildLShr) \
  MARTLET_LLVM_BINARY(F, BuildAShr) \
  MARTLET_LLVM_BINARY(F, BuildAnd) \
  MARTLET_LLVM_BINARY(F, BuildOr) \
  MARTLET_LLVM_BINARY(F, BuildXor) \
  MARTLET_LLVM_BINARY(F, BuildExtractElement)
#define MARTLET_LLVM_BINARY(F, name) \
  F(martlet_llvm_value, name, (martlet_llvm_builder, martlet_llvm_value, martlet_llvm_value, const char *))

// Conversions: all of these have the same parameters.
#define MARTLET_LLVM_CAST_FUNCTIONS(F) \
  MARTLET_LLVM_CAST(F, BuildTrunc) \
  MARTLET_LLVM_CAST(F, BuildZExt) \
  MARTLET_LLVM_CAST(F, BuildSExt) \
  MARTLET_LLVM_CAST(F, BuildFPToUI) \
  MARTLET_LLVM_CAST(F, BuildFPToSI) \
  MARTLET_LLVM_CAST(F, BuildUIToFP) \
  MARTLET_LLVM_CAST(F, BuildSIToFP) \
  MARTLET_LLVM_CAST(F, BuildFPTrunc) \
  MARTLET_LLVM_CAST(F, BuildFPExt) \
  MARTLET_LLVM_CAST(F, BuildPtrToInt) \
  MARTLET_LLVM_CAST(F, BuildIntToPtr) \
  MARTLET_LLVM_CAST(F, BuildBitCast)
#define MARTLET_LLVM_CAST(F, name) \
  F(martlet_llvm_value, name, (martlet_llvm_builder, martlet_llvm_value, martlet_llvm_type, const char *))

// Comparison, selection, vectors, aggregates, memory.
#define MARTLET_LLVM_BUILD_FUNCTIONS(F) \
  F(martlet_llvm_value, BuildNeg, (martlet_llvm_builder, martlet_llvm_value, const char *)) \
  F(martlet_llvm_value, BuildFNeg, (martlet_llvm_builder, martlet_llvm_value, const char *)) \
  F(martlet_llvm_value, BuildNot, (martlet_llvm_builder, martlet_llvm_value, const char *)) \
  F(martlet_llvm_value, BuildFreeze, (martlet_llvm_builder, martlet_llvm_value, const char *)) \
  F(martlet_llvm_value, BuildICmp, \
    (martlet_llvm_builder, martlet_llvm_int_predicate, martlet_llvm_value, martlet_llvm_value, const char *)) \
  F(martlet_llvm_value, BuildFCmp, \
    (martlet_llvm_builder, martlet_llvm_real_predicate, martlet_llvm_value, martlet_llvm_value, const char *)) \
  F(martlet_llvm_value, BuildSelect, \
    (martlet_llvm_builder, martlet_llvm_value, martlet_llvm_value, martlet_llvm_value, const char *)) \
  F(martlet_llvm_value, BuildInsertElement, \
    (martlet_llvm_builder, martlet_llvm_value, martlet_llvm_value, martlet_llvm_value, const char *)) \
  F(martlet_llvm_value, BuildShuffleVector, \
    (martlet_llvm_builder, martlet_llvm_value, martlet_llvm_value, martlet_llvm_value, const char *)) \
  F(martlet_llvm_value, BuildExtractValue, (martlet_llvm_builder, martlet_llvm_value, unsigned, const char *)) \
  F(martlet_llvm_value, BuildInsertValue, \
    (martlet_llvm_builder, martlet_llvm_value, martlet_llvm_value, unsigned, const char *)) \
  F(martlet_llvm_value, BuildAlloca, (martlet_llvm_builder, martlet_llvm_type, const char *)) \
  F(martlet_llvm_value, BuildArrayAlloca, \
    (martlet_llvm_builder, martlet_llvm_type, martlet_llvm_value, const char *)) \
  F(martlet_llvm_value, BuildLoad2, (martlet_llvm_builder, martlet_llvm_type, martlet_llvm_value, const char *)) \
  F(martlet_llvm_value, BuildStore, (martlet_llvm_builder, martlet_llvm_value, martlet_llvm_value)) \
  F(martlet_llvm_value, BuildGEP2, \
    (martlet_llvm_builder, martlet_llvm_type, martlet_llvm_value, martlet_llvm_value *, unsigned, const char *)) \
  F(martlet_llvm_value, BuildInBoundsGEP2, \
    (martlet_llvm_builder, martlet_llvm_type, martlet_llvm_value, martlet_llvm_value *, unsigned, const char *)) \
  F(martlet_llvm_value, BuildStructGEP2, \
    (martlet_llvm_builder, martlet_llvm_type, martlet_llvm_value, unsigned, const char *)) \
  F(martlet_llvm_value, BuildMemSet, \
    (martlet_llvm_builder, martlet_llvm_value, martlet_llvm_value, martlet_llvm_value, unsigned)) \
  F(martlet_llvm_value, BuildMemCpy, \
    (martlet_llvm_builder, martlet_llvm_value, unsigned, martlet_llvm_value, unsigned, martlet_llvm_value)) \
  F(martlet_llvm_value, BuildFence, (martlet_llvm_builder, martlet_llvm_ordering, int, const char *)) \
  F(martlet_llvm_value, BuildAtomicCmpXchg, \
    (martlet_llvm_builder, martlet_llvm_value, martlet_llvm_value, martlet_llvm_value, martlet_llvm_ordering, \
     martlet_llvm_ordering, int)) \
  F(martlet_llvm_value, BuildAtomicRMW, \
    (martlet_llvm_builder, martlet_llvm_atomic_operation, martlet_llvm_value, martlet_llvm_value, \
     martlet_llvm_ordering, int))

// Attributes and metadata. An attribute's index is 0 for the result, 1 … for a parameter, -1 for the function.
#define MARTLET_LLVM_METADATA_FUNCTIONS(F) \
  F(unsigned, GetEnumAttributeKindForName, (const char *, size_t)) \
  F(martlet_llvm_attribute, CreateEnumAttribute, (martlet_llvm_context, unsigned, uint64_t)) \
  F(martlet_llvm_attribute, CreateStringAttribute, \
    (martlet_llvm_context, const char *, unsigned, const char *, unsigned)) \
  F(void, AddAttributeAtIndex, (martlet_llvm_value, unsigned, martlet_llvm_attribute)) \
  F(void, AddCallSiteAttribute, (martlet_llvm_value, unsigned, martlet_llvm_attribute)) \
  F(unsigned, GetMDKindIDInContext, (martlet_llvm_context, const char *, unsigned)) \
  F(martlet_llvm_metadata, MDStringInContext2, (martlet_llvm_context, const char *, size_t)) \
  F(martlet_llvm_metadata, MDNodeInContext2, (martlet_llvm_context, martlet_llvm_metadata *, size_t)) \
  F(martlet_llvm_metadata, ValueAsMetadata, (martlet_llvm_value)) \
  F(martlet_llvm_value, MetadataAsValue, (martlet_llvm_context, martlet_llvm_metadata)) \
  F(void, SetMetadata, (martlet_llvm_value, unsigned, martlet_llvm_value)) \
  F(martlet_llvm_metadata, TemporaryMDNode, (martlet_llvm_context, martlet_llvm_metadata *, size_t)) \
  F(void, MetadataReplaceAllUsesWith, (martlet_llvm_metadata, martlet_llvm_metadata))

// Optimisation, machine code, memory buffers.
#define MARTLET_LLVM_TARGET_FUNCTIONS(F) \
  F(martlet_llvm_pass_options, CreatePassBuilderOptions, (void)) \
  F(void, DisposePassBuilderOptions, (martlet_llvm_pass_options)) \
  F(void, PassBuilderOptionsSetVerifyEach, (martlet_llvm_pass_options, int)) \
  F(void, PassBuilderOptionsSetLoopVectorization, (martlet_llvm_pass_options, int)) \
  F(void, PassBuilderOptionsSetSLPVectorization, (martlet_llvm_pass_options, int)) \
  F(void, PassBuilderOptionsSetLoopUnrolling, (martlet_llvm_pass_options, int)) \
  F(martlet_llvm_error, RunPasses, \
    (martlet_llvm_module, const char *, martlet_llvm_target_machine, martlet_llvm_pass_options)) \
  F(char *, GetDefaultTargetTriple, (void)) \
  F(char *, GetHostCPUName, (void)) \
  F(char *, GetHostCPUFeatures, (void)) \
  F(int, GetTargetFromTriple, (const char *, martlet_llvm_target *, char **)) \
  F(martlet_llvm_target_machine, CreateTargetMachine, \
    (martlet_llvm_target, const char *, const char *, const char *, martlet_llvm_level, martlet_llvm_relocation, \
     martlet_llvm_code_model)) \
  F(void, DisposeTargetMachine, (martlet_llvm_target_machine)) \
  F(martlet_llvm_data_layout, CreateTargetDataLayout, (martlet_llvm_target_machine)) \
  F(void, DisposeTargetData, (martlet_llvm_data_layout)) \
  F(int, TargetMachineEmitToMemoryBuffer, \
    (martlet_llvm_target_machine, martlet_llvm_module, martlet_llvm_file_type, char **, martlet_llvm_buffer *)) \
  F(const char *, GetBufferStart, (martlet_llvm_buffer)) \
  F(size_t, GetBufferSize, (martlet_llvm_buffer)) \
  F(martlet_llvm_buffer, CreateMemoryBufferWithMemoryRangeCopy, (const char *, size_t, const char *)) \
  F(void, DisposeMemoryBuffer, (martlet_llvm_buffer))

// Linking objects into this process. Adding an object takes over its buffer.
#define MARTLET_LLVM_LINK_FUNCTIONS(F) \
  F(martlet_llvm_error, OrcCreateLLJIT, (martlet_llvm_jit *, martlet_llvm_jit_builder)) \
  F(martlet_llvm_jit_builder, OrcCreateLLJITBuilder, (void)) \
  F(martlet_llvm_error, OrcDisposeLLJIT, (martlet_llvm_jit)) \
  F(martlet_llvm_dylib, OrcLLJITGetMainJITDylib, (martlet_llvm_jit)) \
  F(char, OrcLLJITGetGlobalPrefix, (martlet_llvm_jit)) \
  F(martlet_llvm_error, OrcCreateDynamicLibrarySearchGeneratorForProcess, \
    (martlet_llvm_generator *, char, void *, void *)) \
  F(void, OrcJITDylibAddGenerator, (martlet_llvm_dylib, martlet_llvm_generator)) \
  F(martlet_llvm_error, OrcLLJITAddObjectFile, (martlet_llvm_jit, martlet_llvm_dylib, martlet_llvm_buffer)) \
  F(martlet_llvm_error, OrcLLJITAddObjectFileWithRT, (martlet_llvm_jit, martlet_llvm_tracker, martlet_llvm_buffer)) \
  F(martlet_llvm_error, OrcLLJITLookup, (martlet_llvm_jit, uint64_t *, const char *)) \
  F(martlet_llvm_tracker, OrcJITDylibCreateResourceTracker, (martlet_llvm_dylib)) \
  F(martlet_llvm_error, OrcResourceTrackerRemove, (martlet_llvm_tracker)) \
  F(void, OrcReleaseResourceTracker, (martlet_llvm_tracker))

// Not in every version; NULL where missing. SetFastMathFlags came with LLVM 18, GetVersion with 16.
#define MARTLET_LLVM_OPTIONAL_FUNCTIONS(F) \
  F(void, SetFastMathFlags, (martlet_llvm_value, unsigned)) \
  F(void, GetVersion, (unsigned *, unsigned *, unsigned *))

#define MARTLET_LLVM_FUNCTIONS(F) \
  MARTLET_LLVM_CONTEXT_FUNCTIONS(F) \
  MARTLET_LLVM_MODULE_FUNCTIONS(F) \
  MARTLET_LLVM_TYPE_FUNCTIONS(F) \
  MARTLET_LLVM_VALUE_FUNCTIONS(F) \
  MARTLET_LLVM_BLOCK_FUNCTIONS(F) \
  MARTLET_LLVM_BINARY_FUNCTIONS(F) \
  MARTLET_LLVM_CAST_FUNCTIONS(F) \
  MARTLET_LLVM_BUILD_FUNCTIONS(F) \
  MARTLET_LLVM_METADATA_FUNCTIONS(F) \
  MARTLET_LLVM_TARGET_FUNCTIONS(F) \
  MARTLET_LLVM_LINK_FUNCTIONS(F)

#endif
