import MartletGraph

/// Variables and effects.
let stateOperations: [any Operation.Type] = [
  VarHandleOp.self, ReadVariableOp.self, VarIsInitializedOp.self, AssignVariableOp.self, AssignAddVariableOp.self,
  AssignSubVariableOp.self, NoOp.self, Assert.self,
]
