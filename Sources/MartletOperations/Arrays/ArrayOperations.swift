import MartletGraph

/// Sources of values, and what makes, rearranges, joins, takes apart and describes arrays.
let arrayOperations: [any Operation.Type] = [
  Const.self, Placeholder.self, PlaceholderWithDefault.self, Identity.self, StopGradient.self,
  Reshape.self, ExpandDims.self, Squeeze.self, Transpose.self, InvertPermutation.self, ReverseV2.self,
  ShapeOperation.self, ShapeN.self, SizeOperation.self, RankOperation.self, RangeOperation.self,
  Cast.self, Fill.self, ZerosLike.self, OnesLike.self, BroadcastTo.self, SumToShape.self, BroadcastGradientArgs.self,
  ListDiff.self,
  SelectV2.self, Select.self,
  ConcatV2.self, ConcatOffset.self, Split.self, SplitV.self, Pack.self, Unpack.self, SliceOperation.self,
  StridedSlice.self,
  StridedSliceGrad.self, Pad.self, PadV2.self, Tile.self, GatherV2.self, UnsortedSegmentSum.self, OneHot.self,
]
