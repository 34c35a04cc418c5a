/**
 * Changes single nodes of executable graphs. CUDA gives a launch a copy of its graph, so queued launches keep what they had
 * (measured on an H200). It must never change which nodes there are, or their order.
 */
import type { GraphHandle, NodeHandle } from "../../driver/handles.js"
import type { KernelArgument } from "../../driver/kernels.js"
import { CMemory } from "../native/c-memory.js"
import type { CudaContext } from "../api/context.js"
import type { LaunchableKernel, Launcher } from "../kernel/launch.js"

/** `CUDA_KERNEL_NODE_PARAMS_v2`, and the offsets of two of its fields. */
const PARAMETERS_BYTES = 72
const ARGUMENTS = 40
const EXTRA = 48

/** The nodes of one device's graphs. */
export class GraphNodes {
  readonly #context: CudaContext
  readonly #launcher: Launcher
  readonly #parameters = new CMemory(PARAMETERS_BYTES)

  constructor(context: CudaContext, launcher: Launcher) {
    this.#context = context
    this.#launcher = launcher
  }

  /** Gives a launch other arguments, in the template, too, which other graphs may include later. */
  setArguments(
    executable: GraphHandle,
    node: NodeHandle,
    kernel: LaunchableKernel,
    args: readonly KernelArgument[],
    structs: Uint8Array | undefined,
  ): void {
    const context = this.#context
    const { address } = this.#parameters
    const { cuGraphKernelNodeGetParams, cuGraphKernelNodeSetParams, cuGraphExecKernelNodeSetParams } =
      context.graphCalls
    context.within(() => {
      context.check(cuGraphKernelNodeGetParams(node, address), "cuGraphKernelNodeGetParams")
      this.#parameters.setNumber(ARGUMENTS, this.#launcher.writeArguments(kernel, args, structs))
      this.#parameters.setNumber(EXTRA, 0)
      context.check(cuGraphKernelNodeSetParams(node, address), "cuGraphKernelNodeSetParams")
      context.check(cuGraphExecKernelNodeSetParams(executable, node, address), "cuGraphExecKernelNodeSetParams")
    })
  }

  /** Lets launches do nothing when the graph is launched later, or what they did before. */
  setEnabled(executable: GraphHandle, nodes: Iterable<NodeHandle>, enabled: boolean): void {
    const context = this.#context
    const { cuGraphNodeSetEnabled } = context.graphCalls
    context.within(() => {
      for (const node of nodes) {
        context.check(cuGraphNodeSetEnabled(executable, node, enabled ? 1 : 0), "cuGraphNodeSetEnabled")
      }
    })
  }
}
