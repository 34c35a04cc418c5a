/** The driver's calls for capturing and launching graphs, looked up when the first graph is captured. */
import type { Bound, Signature } from "./ffi.js"

const handle = "uintptr_t"
const out = "uintptr_t"

export const GRAPH_CALLS = {
  cuStreamBeginCapture: ["cuStreamBeginCapture_v2", handle, "int"],
  cuStreamEndCapture: ["cuStreamEndCapture", handle, out],
  cuStreamIsCapturing: ["cuStreamIsCapturing", handle, out],
  cuGraphInstantiateWithFlags: ["cuGraphInstantiateWithFlags", out, handle, "size_t"],
  cuGraphExecUpdate: ["cuGraphExecUpdate_v2", handle, handle, out],
  cuGraphLaunch: ["cuGraphLaunch", handle, handle],
  cuGraphExecDestroy: ["cuGraphExecDestroy", handle],
  cuGraphDestroy: ["cuGraphDestroy", handle],
} as const satisfies Record<string, Signature>

export type GraphCalls = Bound<typeof GRAPH_CALLS>
