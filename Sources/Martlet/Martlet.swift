// What a program that imports Martlet sees beside `Session`.
@_exported import struct MartletCUDA.CUDAOptions
@_exported import MartletDiagnostics
@_exported import MartletExecution
@_exported import MartletFormats
@_exported import MartletFrontend
@_exported import MartletGradients
@_exported import MartletGraph
@_exported import MartletLoopIR
@_exported import MartletOperations
@_exported import MartletRewriting
@_exported import MartletScheduling
@_exported import MartletTensors
@_exported import MartletVisualization
