/** The driver's calls for capturing and launching graphs. They must not be looked up before the first capture. */
import type { Bound, Signature } from "../native/ffi.js"

const handle = "uintptr_t"
const out = "uintptr_t"
const address = "uintptr_t"
const bytes = "size_t"

export const GRAPH_CALLS = {
  cuStreamBeginCapture: ["cuStreamBeginCapture_v2", handle, "int"],
  cuStreamEndCapture: ["cuStreamEndCapture", handle, out],
  // Not the newest header's names: those functions take edge data, which we do not use.
  cuStreamGetCaptureInfo: ["cuStreamGetCaptureInfo_v2", handle, out, out, out, out, out],
  cuStreamUpdateCaptureDependencies: ["cuStreamUpdateCaptureDependencies", handle, address, bytes, "uint32_t"],
  cuGraphAddChildGraphNode: ["cuGraphAddChildGraphNode", out, handle, address, bytes, handle],
  cuGraphGetNodes: ["cuGraphGetNodes", handle, address, out],
  cuGraphGetEdges: ["cuGraphGetEdges", handle, address, address, out],
  cuGraphAddDependencies: ["cuGraphAddDependencies", handle, address, address, bytes],
  cuGraphRemoveDependencies: ["cuGraphRemoveDependencies", handle, address, address, bytes],
  cuGraphInstantiateWithFlags: ["cuGraphInstantiateWithFlags", out, handle, "size_t"],
  cuGraphExecUpdate: ["cuGraphExecUpdate_v2", handle, handle, out],
  cuGraphLaunch: ["cuGraphLaunch", handle, handle],
  cuGraphKernelNodeGetParams: ["cuGraphKernelNodeGetParams_v2", handle, out],
  cuGraphKernelNodeSetParams: ["cuGraphKernelNodeSetParams_v2", handle, address],
  cuGraphExecKernelNodeSetParams: ["cuGraphExecKernelNodeSetParams_v2", handle, handle, address],
  cuGraphNodeSetEnabled: ["cuGraphNodeSetEnabled", handle, handle, "uint32_t"],
  cuGraphExecDestroy: ["cuGraphExecDestroy", handle],
  cuGraphDestroy: ["cuGraphDestroy", handle],
} as const satisfies Record<string, Signature>

/** Conditionals: from CUDA 12.4 on. */
export const CONDITIONAL_CALLS = {
  cuGraphConditionalHandleCreate: ["cuGraphConditionalHandleCreate", out, handle, handle, "uint32_t", "uint32_t"],
  cuGraphAddNode: ["cuGraphAddNode", out, handle, address, bytes, address],
  cuStreamBeginCaptureToGraph: ["cuStreamBeginCaptureToGraph", handle, handle, address, address, bytes, "int"],
} as const satisfies Record<string, Signature>

export type GraphCalls = Bound<typeof GRAPH_CALLS>
export type ConditionalCalls = Bound<typeof CONDITIONAL_CALLS>
