import MartletGraph

/// Variables and effects.
let stateOperations: [any Operation.Type] = [
  VarHandleOp.self, ReadVariableOp.self, VarIsInitializedOp.self, AssignVariableOp.self, AssignAddVariableOp.self,
  AssignSubVariableOp.self, NoOp.self, Assert.self,
  ResourceApplyGradientDescent.self, ResourceApplyMomentum.self, ResourceApplyKerasMomentum.self,
  ResourceApplyAdam.self, ResourceApplyRMSProp.self, ResourceApplyCenteredRMSProp.self, ResourceApplyAdagrad.self,
  ResourceApplyAdagradV2.self, ResourceApplyAdadelta.self,
]
