import MartletGraph

/// Operations on each element alone.
let elementwiseOperations: [any Operation.Type] = [
  AddV2.self, Sub.self, AddN.self, Mul.self, Square.self, SquaredDifference.self,
  RealDiv.self, Div.self, FloorDiv.self, FloorMod.self, DivNoNan.self,
  Reciprocal.self, Inv.self, ReciprocalGrad.self, InvGrad.self,
  Neg.self, Abs.self, Sign.self,
  Sqrt.self, SqrtGrad.self, Rsqrt.self, RsqrtGrad.self, Pow.self,
  Exp.self, Expm1.self, Log.self, Log1p.self,
  Sin.self, Cos.self, Tan.self, Asin.self, Acos.self, Atan.self, Atan2.self, Sinh.self, Cosh.self,
  Asinh.self, Acosh.self, Atanh.self,
  Xlogy.self, Xlog1py.self, Xdivy.self,
  Tanh.self, TanhGrad.self, Sigmoid.self, SigmoidGrad.self, Erf.self,
  Softplus.self, SoftplusGrad.self, Softsign.self, SoftsignGrad.self,
  Maximum.self, Minimum.self, ClipByValue.self,
  Floor.self, Ceil.self, Round.self, Rint.self,
  Equal.self, NotEqual.self, Less.self, LessEqual.self, Greater.self, GreaterEqual.self,
  LogicalAnd.self, LogicalOr.self, LogicalNot.self,
  IsNan.self, IsInf.self, IsFinite.self,
]
